"""One spelling of names: what people read as the same text is the same name, whatever bytes a disk keeps it in.

Letters with accents may be one code point (NFC, what is typed) or two (NFD, how macOS names files). Names here are NFC; paths
are as the disk has them, and no file is renamed.
"""

import os
import unicodedata
from pathlib import Path


def one_spelling(name: str) -> str:
    r"""Give a name in Unicode's normal form C.

    Examples
    --------
    >>> len("a\N{COMBINING DIAERESIS}"), len(one_spelling("a\N{COMBINING DIAERESIS}"))
    (2, 1)
    """
    return unicodedata.normalize("NFC", name)


def folder_name(folder: Path) -> str:
    """Give the name of a folder, wherever it is looked at from."""
    return one_spelling(folder.resolve().name)


def on_disk(folder: Path, name: str) -> Path:
    """Give the path of what is called `name` under a folder, each part spelled as the disk has it.

    Parameters
    ----------
    folder : Path
    name : str
        Relative, with forward slashes.

    Returns
    -------
    Path
        ``folder / name`` where that exists, or where nothing else is called so.
    """
    place = folder
    for part in Path(name).parts:
        if not (part.isascii() or (place / part).exists()) and place.is_dir():
            part = next((each for each in sorted(os.listdir(place)) if one_spelling(each) == one_spelling(part)), part)
        place /= part
    return place
