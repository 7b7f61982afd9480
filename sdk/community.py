"""Where a device keeps what belongs to one community: its records, and the log of what it told there.

The community without a name lives in the device's folder itself, the others in `communities/`, each in a folder named
by a hash, for not every name can name a folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from p2p.pseudonym import community_bytes
from sdk.errors import DeviceFolderInvalid, InvalidInput

RECORDS_FILE = "records.db"
_FOLDER = "communities"
_NAME_FILE = "name"


def community_folder(device: Path, community: str) -> Path:
    """Return a community's folder, made if it is not there.

    Raises:
        InvalidInput: no community can have this name.
    """
    try:
        name = community_bytes(community)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    if not name:
        return device
    folder = device / _FOLDER / hashlib.blake2b(name, digest_size=16, person=b"meritrec/group").hexdigest()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = folder / _NAME_FILE
    if not written.exists():
        temporary = folder / f"{_NAME_FILE}.new"
        temporary.write_bytes(name)
        temporary.replace(written)
    return folder


def communities(device: Path) -> list[str]:
    """Return the names of the communities that a device has been in, sorted; not the one without a name.

    Raises:
        DeviceFolderInvalid: the name of one cannot be read.
    """
    names = []
    for written in (device / _FOLDER).glob(f"*/{_NAME_FILE}"):
        try:
            names.append(written.read_bytes().decode())
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceFolderInvalid(f"{written} cannot be read ({error}); restore it from a backup") from error
    return sorted(names)
