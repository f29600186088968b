"""BibTeX of the papers that published rows cite, by the key that the rows carry."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.analysis.key import plain
from bench.errors import UserError

MIXER = "tolstikhin2021mixer"

_ENTRIES = {
    MIXER: r"""@inproceedings{tolstikhin2021mixer,
  title     = {{MLP-Mixer}: An all-{MLP} Architecture for Vision},
  author    = {Tolstikhin, Ilya and Houlsby, Neil and Kolesnikov, Alexander and
               Beyer, Lucas and Zhai, Xiaohua and Unterthiner, Thomas and
               Yung, Jessica and Steiner, Andreas and Keysers, Daniel and
               Uszkoreit, Jakob and Lucic, Mario and Dosovitskiy, Alexey},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2021},
  note      = {arXiv:2105.01601}
}""",
    "dosovitskiy2021vit": r"""@inproceedings{dosovitskiy2021vit,
  title     = {An Image is Worth 16x16 Words: Transformers for Image Recognition
               at Scale},
  author    = {Dosovitskiy, Alexey and Beyer, Lucas and Kolesnikov, Alexander and
               Weissenborn, Dirk and Zhai, Xiaohua and Unterthiner, Thomas and
               Dehghani, Mostafa and Minderer, Matthias and Heigold, Georg and
               Gelly, Sylvain and Uszkoreit, Jakob and Houlsby, Neil},
  booktitle = {International Conference on Learning Representations},
  year      = {2021},
  note      = {arXiv:2010.11929}
}""",
    "kolesnikov2020bit": r"""@inproceedings{kolesnikov2020bit,
  title     = {Big Transfer ({BiT}): General Visual Representation Learning},
  author    = {Kolesnikov, Alexander and Beyer, Lucas and Zhai, Xiaohua and
               Puigcerver, Joan and Yung, Jessica and Gelly, Sylvain and
               Houlsby, Neil},
  booktitle = {European Conference on Computer Vision},
  year      = {2020},
  note      = {arXiv:1912.11370}
}""",
    "rw2019timm": r"""@misc{rw2019timm,
  title        = {{PyTorch} Image Models},
  author       = {Wightman, Ross},
  year         = {2019},
  howpublished = {GitHub, huggingface/pytorch-image-models}
}""",
}


def cited(rows: pd.DataFrame) -> list[str]:
    """Keys that these rows cite, in order of appearance."""
    return list(dict.fromkeys(str(v) for v in rows["bibkey"] if plain(v) is not None))


def bibtex(keys: Iterable[str]) -> str:
    """The entries of `keys`, one after the other."""
    wanted = list(keys)
    absent = [key for key in wanted if key not in _ENTRIES]
    if absent:
        raise UserError(
            f"no BibTeX entry for {', '.join(absent)}; known: {', '.join(_ENTRIES)}"
        )
    return "\n\n".join(_ENTRIES[key] for key in wanted)
