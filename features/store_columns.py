"""What Feast is asked offline, and what it found: rows in their order, columns in the contract's dtypes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.contract import DType, FeatureContract, FeatureSpec
from features.snapshot_files import as_of_column
from moment.errors import InvariantViolation

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Places = NDArray[np.intp]

ROW = "asked_row"
"""Our own id of an asked row, by which Feast's answer is put back in order."""


def asked_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what Feast is to be asked of rows with a ``customer_id`` and the time ``at``.

    Raises
    ------
    InvariantViolation
        A row has no time.
    """
    import pandas as pd

    asked = pd.DataFrame(
        {
            "customer_id": rows["customer_id"].astype(str).to_numpy(),
            "event_timestamp": pd.to_datetime(rows["at"], utc=True).dt.as_unit("us").array,
        }
    )
    if asked["event_timestamp"].isna().any():
        raise InvariantViolation("a row has no time; every row needs an `at`")
    return asked


def distinct(asked: pd.DataFrame) -> tuple[Places, pd.DataFrame]:
    """Return each row's place among the distinct rows, and those, in order of appearance."""
    places = asked.groupby(list(asked.columns), sort=False).ngroup()
    return np.asarray(places, dtype=np.intp), asked.drop_duplicates(ignore_index=True)


def nobody() -> pd.DataFrame:
    """Return one row of somebody who is not there."""
    import pandas as pd

    return pd.DataFrame({"customer_id": [""], "event_timestamp": [datetime(1970, 1, 1, tzinfo=UTC)]})


def numbered(asked: pd.DataFrame) -> pd.DataFrame:
    """Return what is asked, each row with its number."""
    return asked.assign(**{ROW: range(len(asked))})


def in_order(found: pa.Table, count: int) -> pa.Table:
    """Return what was found in the order in which it was asked.

    Raises
    ------
    InvariantViolation
        It is not one row for each of ``count`` asked.
    """
    found = found.sort_by(ROW)
    if found[ROW].to_pylist() != list(range(count)):
        raise InvariantViolation(f"Feast returned {found.num_rows} rows for {count} asked; none may be lost")
    return found


def features_of(found: pa.Table, contract: FeatureContract, places: Places, index: pd.Index) -> pd.DataFrame:
    """Return the contract's columns at places of the rows found; see `column`."""
    import pandas as pd

    columns = {spec.name: column(found, spec, places) for spec in contract}
    return pd.DataFrame(columns, index=index, columns=list(contract.names))


def column(found: pa.Table, spec: FeatureSpec, places: Places) -> Any:  # noqa: ANN401 - numpy and pandas arrays
    """Return a feature's values at places of the rows found.

    Parameters
    ----------
    found
        Distinct rows with ``event_timestamp``, when each was asked for, and the view's as-of column.
    spec
        The feature; its dtype and ``max_age`` hold.
    places
        (rows,), positions in ``found``.

    Returns
    -------
    array
        (rows,): ``boolean``, ``Int64``, ``float64``, or objects; expired values are missing.

    Raises
    ------
    InvariantViolation
        The column is not there, or is of another type.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.if_else(_fresh(found, spec), _cast(found, spec), None)
    match spec.dtype:
        case DType.INT64:
            return pd.array(values.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)).take(places)
        case DType.BOOL:
            return pd.array(values.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)).take(places)
        case DType.FLOAT64:
            return values.to_numpy().astype(np.float64).take(places)
    objects = np.empty(len(values), dtype=object)
    objects[:] = [tuple(value) if isinstance(value, list) else value for value in values.to_pylist()]
    return objects.take(places)


def _fresh(found: pa.Table, spec: FeatureSpec) -> Any:  # noqa: ANN401 - an Arrow array
    import pyarrow as pa
    import pyarrow.compute as pc

    asked_at = pc.cast(pc.cast(found["event_timestamp"], pa.timestamp("us", "UTC")), pa.int64())
    age = pc.subtract(asked_at, pc.multiply(found[as_of_column(spec.view)], 1_000_000))
    return pc.less_equal(age, spec.max_age // timedelta(microseconds=1))


def _cast(found: pa.Table, spec: FeatureSpec) -> Any:  # noqa: ANN401 - an Arrow array
    import pyarrow as pa

    types = {
        DType.BOOL: pa.bool_(),
        DType.INT64: pa.int64(),
        DType.FLOAT64: pa.float64(),
        DType.STRING: pa.string(),
        DType.STRING_LIST: pa.list_(pa.string()),
        DType.FLOAT_LIST: pa.list_(pa.float64()),
    }
    if spec.name not in found.column_names:
        raise InvariantViolation(f"Feast returned no column {spec.name}; the contract names it")
    try:
        return found[spec.name].cast(types[spec.dtype])
    except pa.ArrowException as error:
        actual = found[spec.name].type
        message = f"Feast returned {spec.name} as {actual}; the contract says {spec.dtype}"
        raise InvariantViolation(message) from error
