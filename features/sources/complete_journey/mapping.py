"""The Complete Journey mapped onto the canonical tables, as SQL for DuckDB.

The purchases' timestamps are UTC, while campaigns and redemptions have days. Those are days in New York: of
eight zones tried it is the only one in which every redemption day has a purchase of its household and every
week of the record begins on a Monday at midnight. So a day becomes the instant at which it begins there.

An *action* is a coupon offer for a product category. A coupon covers many products; the category of most of
them, in that campaign, is its main category.
"""

from __future__ import annotations

ZONE = "America/New_York"
COUPONS_OF_TYPE_A = 16
"""How many coupons of a Type A campaign's pool each household was sent; which ones is not recorded."""

FILES = {
    "campaigns": ("campaign_id", "household_id"),
    "campaign_descriptions": ("campaign_id", "campaign_type", "start_date", "end_date"),
    "coupons": ("coupon_upc", "product_id", "campaign_id"),
    "coupon_redemptions": ("household_id", "coupon_upc", "campaign_id", "redemption_date"),
    "demographics": (
        "household_id",
        "age",
        "income",
        "home_ownership",
        "marital_status",
        "household_size",
        "household_comp",
        "kids_count",
    ),
    "products": ("product_id", "department", "brand", "product_category"),
    "promotions": ("product_id", "store_id", "display_location", "mailer_location", "week"),
    "transactions": (
        "household_id",
        "store_id",
        "basket_id",
        "product_id",
        "quantity",
        "sales_value",
        "retail_disc",
        "coupon_disc",
        "coupon_match_disc",
        "week",
        "transaction_timestamp",
    ),
}
"""The package's files and the columns the mapping reads of each."""

MACROS = (
    f"CREATE MACRO zone() AS '{ZONE}'",
    "CREATE MACRO day_begins(day) AS timezone('UTC', timezone(zone(), day::TIMESTAMP))",
    # What is known of households and stores has no date: it counts as known from the first day of the record
    "CREATE MACRO record_begins() AS day_begins(DATE '2017-01-01')",
    f"CREATE MACRO coupons_of_type_a() AS {COUPONS_OF_TYPE_A}",
    r"CREATE MACRO slug(words) AS trim(regexp_replace(lower(words), '[^a-z0-9]+', '-', 'g'), '-')",
    """
    CREATE VIEW coupon_categories AS
    SELECT campaign_id, coupon_upc, category
    FROM (
        SELECT campaign_id, coupon_upc, product_category AS category, count(DISTINCT product_id) AS products
        FROM raw_coupons JOIN raw_products USING (product_id)
        WHERE product_category IS NOT NULL
        GROUP BY ALL
    )
    QUALIFY row_number() OVER (PARTITION BY campaign_id, coupon_upc ORDER BY products DESC, category) = 1
    """,
    # A few categories have products in several departments
    """
    CREATE VIEW category_departments AS
    SELECT product_category AS category, department
    FROM raw_products
    GROUP BY product_category, department
    QUALIFY row_number() OVER (PARTITION BY product_category ORDER BY count(*) DESC, department) = 1
    """,
    """
    CREATE VIEW campaign_actions AS
    SELECT DISTINCT campaign_id, category, 'coupon-' || slug(category) AS action_id, department
    FROM coupon_categories JOIN category_departments USING (category)
    """,
)
"""Macros and views that the tables share, over views ``raw_<file>``."""

CUSTOMERS = """
SELECT
    household_id::VARCHAR AS customer_id,
    'person' AS party_type,
    household_id::VARCHAR AS household_id,
    age AS age_band,
    income AS income_band,
    marital_status,
    household_size,
    kids_count AS kids,
    household_comp AS household_composition,
    home_ownership,
    zone() AS timezone,
    record_begins() AS known_at
FROM (
    SELECT household_id FROM raw_transactions
    UNION SELECT household_id FROM raw_campaigns
    UNION SELECT household_id FROM raw_demographics
)
LEFT JOIN raw_demographics USING (household_id)
ORDER BY household_id
"""

# The data says nothing of consent: what members of a panel agree to is assumed, and told as such
CONSENTS = """
SELECT customer_id, purpose, 'granted' AS status, record_begins() AS valid_from, record_begins() AS known_at
FROM (
    SELECT DISTINCT household_id::VARCHAR AS customer_id FROM (
        SELECT household_id FROM raw_transactions
        UNION SELECT household_id FROM raw_campaigns
        UNION SELECT household_id FROM raw_demographics
    )
) CROSS JOIN (VALUES ('profiling'), ('marketing')) AS asked (purpose)
ORDER BY customer_id, purpose
"""

LOCATIONS = """
SELECT DISTINCT store_id::VARCHAR AS location_id, 'store' AS kind, record_begins() AS known_at
FROM raw_transactions
ORDER BY location_id
"""

# The semi join keeps of 20.9 million product weeks those somebody bought in; a store and week that promotions
# do not mention at all were not recorded, which is not the same as nothing on display
TRANSACTIONS = """
WITH bought AS (
    SELECT DISTINCT product_id, store_id, week FROM raw_transactions
), shown AS (
    SELECT product_id, store_id, week,
        bool_or(display_location <> '0') AS on_display, bool_or(mailer_location <> '0') AS in_mailer
    FROM raw_promotions SEMI JOIN bought USING (product_id, store_id, week)
    GROUP BY ALL
), recorded AS (
    SELECT DISTINCT store_id, week, TRUE AS recorded FROM raw_promotions
)
SELECT
    t.basket_id || ':' || t.product_id AS transaction_id,
    t.household_id::VARCHAR AS customer_id,
    t.transaction_timestamp::TIMESTAMP AS occurred_at,
    t.sales_value AS amount,
    'USD' AS currency,
    product.product_category AS category,
    t.store_id::VARCHAR AS location_id,
    'store' AS channel,
    t.retail_disc + t.coupon_disc + t.coupon_match_disc AS discount,
    t.basket_id::VARCHAR AS basket_id,
    t.product_id::VARCHAR AS product_id,
    t.quantity::DOUBLE AS quantity,
    product.brand AS brand,
    product.department AS department,
    t.coupon_disc + t.coupon_match_disc AS coupon_discount,
    CASE WHEN recorded.recorded THEN coalesce(shown.on_display, FALSE) END AS on_display,
    CASE WHEN recorded.recorded THEN coalesce(shown.in_mailer, FALSE) END AS in_mailer
FROM raw_transactions AS t
LEFT JOIN raw_products AS product USING (product_id)
LEFT JOIN shown USING (product_id, store_id, week)
LEFT JOIN recorded USING (store_id, week)
ORDER BY t.transaction_timestamp, t.basket_id, t.product_id
"""

PRESENTATIONS = """
SELECT
    campaign_id || '-' || household_id || '-' || slug(category) AS presentation_id,
    household_id::VARCHAR AS customer_id,
    action_id,
    action_id || '-mail' AS treatment_id,
    'mail' AS channel,
    'mailer' AS placement,
    day_begins(start_date) AS occurred_at,
    CASE campaign_type WHEN 'Type A' THEN 'imputed' ELSE 'observed' END AS exposure,
    department AS action_group,
    campaign_id::VARCHAR AS campaign_id,
    right(campaign_type, 1) AS campaign_kind,
    day_begins(end_date + INTERVAL 1 DAY) AS window_ends_at,
    CASE campaign_type WHEN 'Type A' THEN coupons_of_type_a() ELSE actions END AS offers_together
FROM raw_campaigns
JOIN raw_campaign_descriptions USING (campaign_id)
JOIN campaign_actions USING (campaign_id)
JOIN (SELECT campaign_id, count(*) AS actions FROM campaign_actions GROUP BY campaign_id) USING (campaign_id)
ORDER BY occurred_at, raw_campaigns.campaign_id, household_id, category
"""

OUTCOMES = """
SELECT
    concat_ws(
        '-', household_id, campaign_id, coupon_upc, strftime(redemption_date, '%Y%m%d'), nullif(again, 1)
    ) AS outcome_id,
    campaign_id || '-' || household_id || '-' || slug(category) AS presentation_id,
    'redeemed' AS kind,
    day_begins(redemption_date) AS occurred_at
FROM (
    SELECT *, row_number() OVER (PARTITION BY household_id, campaign_id, coupon_upc, redemption_date) AS again
    FROM raw_coupon_redemptions
)
JOIN coupon_categories USING (campaign_id, coupon_upc)
ORDER BY occurred_at, outcome_id
"""

QUERIES = {
    "customers": CUSTOMERS,
    "consents": CONSENTS,
    "locations": LOCATIONS,
    "transactions": TRANSACTIONS,
    "presentations": PRESENTATIONS,
    "outcomes": OUTCOMES,
}
"""The rows of each canonical table, in a total order, by the table's name."""
