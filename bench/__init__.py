"""mixer-bench: how MLP-Mixer, ViT and ResNet scale, measured so that it can be defended."""

__version__ = "0.1.0"
