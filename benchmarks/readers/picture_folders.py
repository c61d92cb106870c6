"""Folders of images, one folder for each class: what is in them, sorted by name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cl_strategies.benchmarks.readers.folders import files_in, folders_in
from cl_strategies.errors import DataMissingError, UserError

#: Endings of images that are read, and of those that have to be converted first.
_READ = {".png", ".jpg", ".jpeg", ".webp"}
_OTHERS = {".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".heic", ".heif", ".avif"}
#: What systems and editors leave in folders.
_NOBODYS = ("__MACOSX", "__pycache__")


def classes_in(folder: Path) -> list[str]:
    """Return the names of the folders in ``folder``, sorted; hidden ones are left out.

    :raises DataMissingError: if it is not there, or no folder.
    :raises UserError: if it has none, or images beside them.
    """
    names = [name for name in folders_in(check_folder(folder)) if _counts(name)]
    loose = next((name for name in files_in(folder) if _is_image(folder / name)), None)
    if not names:
        what = f"images such as {loose}, but no folders" if loose else "no folders"
        raise UserError(
            f"{folder} has {what}: put the images of each class into a folder with the name of the "
            "class, or list files and labels in a CSV file for image-table"
        )
    if loose is not None:
        raise UserError(
            f"{folder / loose} lies beside the folders of the classes: put it into one of them, or "
            "take it out"
        )
    return names


def images_of(folder: Path) -> list[Path]:
    """Return the images in the folder of one class and in its folders, sorted.

    Other files and hidden ones are left out.

    :raises UserError: if there is none, or one that has to be converted.
    """
    found = sorted(_walk(folder))
    if not found:
        raise UserError(
            f"{folder} has no images: put PNG, JPEG or WEBP files of the class into it, or take "
            "the folder out"
        )
    return found


def check_folder(folder: Path) -> Path:
    """:raises DataMissingError: unless ``folder`` is there and is one."""
    try:
        there, is_folder = folder.exists(), folder.is_dir()
    except (OSError, ValueError) as error:
        raise DataMissingError(f"{str(folder)!r} cannot be looked into ({error})") from error
    if not there:
        raise DataMissingError(
            f"{folder} is not there{_nearest(folder)}: give the folder of the images as path "
            f"(seen from {Path.cwd()}, or from data_root if that is given)"
        )
    if not is_folder:
        raise DataMissingError(
            f"{folder} is a file: give a folder, or use image-table for a table of files"
        )
    return folder


def _nearest(folder: Path) -> str:
    """Return ``" (there is x)"``, or nothing."""
    with suppress(OSError, ValueError):
        near = difflib.get_close_matches(folder.name, folders_in(folder.parent), n=1)
        return "".join(f" (there is {folder.parent / name})" for name in near)
    return ""


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if _counts(name)]
        for name in files:
            path = Path(here, name)
            if _counts(name) and _is_image(path):
                yield path


def _is_image(path: Path) -> bool:
    ending = path.suffix.lower()
    if ending in _OTHERS and _counts(path.name):
        raise UserError(
            f"{path} is an image of a kind that is not read: convert it to PNG, JPEG or WEBP"
        )
    return ending in _READ and _counts(path.name)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in _NOBODYS


def _refuse(error: OSError) -> None:
    raise UserError(
        f"{error.filename} cannot be looked into ({error.strerror}): give yourself the right to"
    ) from error
