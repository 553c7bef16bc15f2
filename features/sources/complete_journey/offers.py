"""What is known of each coupon offer before the test period: the facts behind the groceries catalogue.

``python -m features.sources.complete_journey.offers`` prints them as CSV.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import TextIO

from features import lake
from features.sources.complete_journey import CompleteJourney
from moment.home import Home

KNOWN_BEFORE = date(2017, 9, 1)
"""Facts come from purchases known before this day, on which the test period begins."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One coupon action and its category.

    Parameters
    ----------
    action_id
        ``coupon-<slug of category>``.
    category
        The main category of its coupons.
    department
        The department that most products of the category belong to, ties by name.
    products
        How many different products of the category were bought.
    typical_price
        Median price paid for one unit, dollars; None if the category was not bought.
    penetration
        Share of all households that bought the category in the last 365 days.
    value
        Median spend on the category per basket that has it, dollars; None if it was not bought.
    """

    action_id: str
    category: str
    department: str
    products: int
    typical_price: float | None
    penetration: float
    value: float | None


def offers(source: CompleteJourney, *, before: date = KNOWN_BEFORE) -> tuple[Offer, ...]:
    """Return the facts of every coupon action, ordered by its id.

    Parameters
    ----------
    source
        The Complete Journey.
    before
        Only purchases known before this day begins count, days beginning in New York; a purchase is known a
        day after it.

    Returns
    -------
    tuple of Offer
        158 of them, prices and values rounded to cents, penetration to a tenth of a per cent.
    """
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch), Path(scratch))
        with lake.engine(home, memory_limit="500MB") as connection:
            source.prepare(connection)
            rows = connection.execute(_QUERY, {"before": before}).fetchall()
    return tuple(Offer(*row) for row in rows)


_QUERY = """
WITH actions AS (
    SELECT DISTINCT action_id, category, department FROM campaign_actions
), lines AS (
    SELECT product_category AS category, household_id, basket_id, product_id, quantity, sales_value
    FROM raw_transactions JOIN raw_products USING (product_id)
    WHERE transaction_timestamp + INTERVAL 1 DAY < day_begins($before)
        AND transaction_timestamp + INTERVAL 1 DAY >= day_begins($before) - INTERVAL 365 DAY
), facts AS (
    SELECT category,
        count(DISTINCT product_id) AS products,
        count(DISTINCT household_id) AS households,
        median(sales_value / quantity) FILTER (quantity > 0 AND sales_value > 0) AS typical_price
    FROM lines
    GROUP BY category
), baskets AS (
    SELECT category, median(spend) AS value
    FROM (
        SELECT category, basket_id, sum(sales_value) AS spend FROM lines GROUP BY category, basket_id
    )
    WHERE spend > 0
    GROUP BY category
)
SELECT action_id, category, department,
    coalesce(products, 0) AS products,
    round(typical_price, 2) AS typical_price,
    round(coalesce(households, 0) / (SELECT count(DISTINCT household_id) FROM raw_transactions), 3)
        AS penetration,
    round(value, 2) AS value
FROM actions
LEFT JOIN facts USING (category)
LEFT JOIN baskets USING (category)
ORDER BY action_id
"""


def write_csv(found: tuple[Offer, ...], out: TextIO) -> None:
    """Write the facts as CSV, one row per action."""
    writer = csv.DictWriter(out, [field.name for field in fields(Offer)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(offer) for offer in found)


if __name__ == "__main__":
    write_csv(offers(CompleteJourney.installed()), sys.stdout)
