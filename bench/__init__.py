"""mixer-bench: how MLP-Mixer, ViT and ResNet scale, in numbers that hold up."""

__version__ = "0.1.0"
