"""Where the life of models is opened: ledger, keys and the vault, and nothing that is heavy to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from moment.errors import InvalidRequest

if TYPE_CHECKING:
    from moment.home import Home
    from serving.adapters.personal_signing import PersonalSigner
    from serving.adapters.sqlite_keys import SqliteKeys
    from serving.use_cases.life import Life

_MOST_BYTES = 4096


@contextmanager
def open_life(home: Home) -> Iterator[Life]:
    """Open the life of a home's models, making its database and its vault at the first need.

    Raises
    ------
    ConfigurationError, DependencyError
        As the vault and the database do; LedgerBroken where a ledger had begun and nothing is left of it.
    """
    from serving.adapters.identifiers import utc_now
    from serving.adapters.life_beginning import Beginning
    from serving.adapters.personal_signing import MachineSigner
    from serving.adapters.sqlite_keys import SqliteKeys
    from serving.adapters.sqlite_life import SqliteLife
    from serving.adapters.vault import Vault
    from serving.use_cases.life import Life

    machine = MachineSigner(Vault.open(home))
    with (
        closing(SqliteKeys(home.database)) as keys,
        closing(SqliteLife(home.database, machine, keys, beginning=Beginning.of_home(home))) as ledger,
    ):
        yield Life(
            ledger,
            home.bundles,
            utc_now,
            machine,
            sign=_signing(home),
            person=lambda file: _person(file, keys),
        )


def personal_signer(home: Home, key_file: Path) -> PersonalSigner:
    """Return the person whose own key lies in a file.

    Raises
    ------
    InvalidRequest
        The file cannot be read, or what is in it is no personal key that opens anything.
    """
    from serving.adapters.database import migrate
    from serving.adapters.sqlite_keys import SqliteKeys

    migrate(home.database)
    with closing(SqliteKeys(home.database)) as keys:
        return _person(key_file, keys)


def _person(key_file: Path, keys: SqliteKeys) -> PersonalSigner:
    from serving.adapters.personal_signing import PersonalSigner

    try:
        with key_file.expanduser().open("rb") as file:
            secret = file.read(_MOST_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"{key_file} cannot be read as a personal key ({type(error).__name__}); name the file that "
            "`moment keys create --person NAME --role ROLE --out-file` wrote",
            code="key-unknown",
        ) from error
    return PersonalSigner(secret, keys)


def _signing(home: Home) -> Callable[[Path], None]:
    """Return what signs a bundle that nobody has signed, with this machine's key."""

    def sign(folder: Path) -> None:
        from serving.bundles.manifest import SIGNATURE
        from serving.bundles.signing import BundleKey, sign_bundle

        if not (folder / SIGNATURE).exists():
            sign_bundle(folder, BundleKey.of_home(home.keys))

    return sign
