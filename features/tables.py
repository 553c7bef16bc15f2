"""The customer 360: every canonical table, column by column.

A source maps whatever an organisation has onto these. All tables but ``customers`` are optional; features
built from a missing one are null. Instants are UTC. Each table ends with ``known_at``, the instant from which
the fact could have been used for a decision.
"""

from __future__ import annotations

from features.contract import Purpose
from features.table_contract import KNOWN_AT, Column, ColumnType, TableContract

STRING, FLOAT64, INT64 = ColumnType.STRING, ColumnType.FLOAT64, ColumnType.INT64
BOOL, DATE, TIMESTAMP = ColumnType.BOOL, ColumnType.DATE, ColumnType.TIMESTAMP

_KNOWN_AT = Column(
    KNOWN_AT,
    TIMESTAMP,
    "When the fact could first have been used for a decision, by the source's rule",
    False,
)


def _id(name: str, meaning: str, *, references: str | None = None) -> Column:
    return Column(name, STRING, meaning, nullable=False, references=references)


def _customer() -> Column:
    return _id("customer_id", "The customer", references="customers")


def _occurred_at(meaning: str) -> Column:
    return Column("occurred_at", TIMESTAMP, meaning, nullable=False)


def _location() -> Column:
    return Column("location_id", STRING, "Store, branch or other place", references="locations")


CUSTOMERS = TableContract(
    name="customers",
    meaning="Who the customers are: people, households or businesses",
    columns=(
        _id("customer_id", "The customer; everything else refers to it"),
        Column("party_type", STRING, "What kind of party", nullable=False, allowed=("person", "business")),
        Column("account_id", STRING, "The account a person belongs to, where people share one"),
        Column("household_id", STRING, "The household; features of a household count its members together"),
        Column("birth_date", DATE, "Date of birth, where it is known exactly"),
        Column(
            "age_band", STRING, "Age in years as a band, where the date of birth is not known: 35-44, 65+"
        ),
        Column("region", STRING, "Region or state"),
        Column("postcode", STRING, "Postal code"),
        Column("income_band", STRING, "Yearly income as a band in thousands: 35-49K, 250K+"),
        Column("marital_status", STRING, "Marital status in the source's words"),
        Column("household_size", STRING, "People in the household, the last band open: 1, 2, 5+"),
        Column("kids", STRING, "Children in the household, the last band open: 0, 1, 3+"),
        Column("household_composition", STRING, "Adults and children in words: 2 Adults No Kids"),
        Column("home_ownership", STRING, "Owner or renter, known or probable"),
        Column("joined_at", TIMESTAMP, "When the party became a customer"),
        Column("timezone", STRING, "IANA zone in which the customer's days begin: America/New_York"),
        Column("language", STRING, "Preferred language, BCP 47: en, de-CH"),
        Column("vulnerable", BOOL, "Whether the customer needs particular care"),
        _KNOWN_AT,
    ),
    key=("customer_id",),
    keeps_history=True,
)

IDENTITIES = TableContract(
    name="identities",
    meaning="What links a cookie, device or hashed address to a customer",
    columns=(
        _customer(),
        Column(
            "kind",
            STRING,
            "Kind of identity",
            nullable=False,
            allowed=("cookie", "device", "email_hash", "loyalty_no", "social_handle"),
        ),
        Column("value_hash", STRING, "SHA-256 of the identity's value, never the value", nullable=False),
        Column("linked_at", TIMESTAMP, "When it was linked to the customer", nullable=False),
        _KNOWN_AT,
    ),
    key=("customer_id", "kind", "value_hash", "linked_at"),
    time="linked_at",
)

CONSENTS = TableContract(
    name="consents",
    meaning="What a customer allowed or refused, per purpose and channel",
    columns=(
        _customer(),
        Column("purpose", STRING, "Purpose", nullable=False, allowed=tuple(p.value for p in Purpose)),
        Column("channel", STRING, "Channel; missing means every channel"),
        Column("status", STRING, "Allowed or refused", nullable=False, allowed=("granted", "denied")),
        Column("valid_from", TIMESTAMP, "From when it holds", nullable=False),
        Column("valid_to", TIMESTAMP, "Until when it holds; missing means until the next record"),
        _KNOWN_AT,
    ),
    key=("customer_id", "purpose", "channel", "status", "valid_from"),
    time="valid_from",
    not_before=(("valid_to", "valid_from"),),
)

HOLDINGS = TableContract(
    name="holdings",
    meaning="Products a customer holds: accounts, policies, contracts",
    columns=(
        _customer(),
        _id("product_id", "The product held"),
        Column("line_of_business", STRING, "Line of business: banking, insurance, …"),
        Column("opened_at", TIMESTAMP, "When the holding began", nullable=False),
        Column("closed_at", TIMESTAMP, "When it ended; missing while it is open"),
        Column("balance", FLOAT64, "Balance in the account's currency"),
        Column("credit_limit", FLOAT64, "Credit limit in the account's currency", minimum=0),
        _KNOWN_AT,
    ),
    key=("customer_id", "product_id", "opened_at"),
    time="opened_at",
    keeps_history=True,
    not_before=(("closed_at", "opened_at"),),
)

TRANSACTIONS = TableContract(
    name="transactions",
    meaning="Purchases and payments, one row per line of a basket",
    columns=(
        _id("transaction_id", "The line"),
        _customer(),
        _occurred_at("When it was paid"),
        Column(
            "amount", FLOAT64, "What was paid for the line after discounts, in `currency`", nullable=False
        ),
        Column("currency", STRING, "ISO 4217 code"),
        Column("category", STRING, "Category of the product or merchant"),
        _location(),
        Column("channel", STRING, "Where it was bought: store, web, app"),
        Column("discount", FLOAT64, "All discounts given on the line, in `currency`", minimum=0),
        Column("basket_id", STRING, "The basket the line belongs to; lines bought together share it"),
        Column("product_id", STRING, "The product bought"),
        Column("quantity", FLOAT64, "How many were bought, in the product's own unit", minimum=0),
        Column("brand", STRING, "Brand, or the kind of brand: National, Private"),
        Column("department", STRING, "Department the category belongs to"),
        Column("coupon_discount", FLOAT64, "The part of `discount` given for coupons", minimum=0),
        Column("on_display", BOOL, "Whether the product was on display in that store in that week"),
        Column("in_mailer", BOOL, "Whether the product was in that store's mailer in that week"),
        _KNOWN_AT,
    ),
    key=("transaction_id",),
    time="occurred_at",
)

INTERACTIONS = TableContract(
    name="interactions",
    meaning="What a customer or an anonymous visitor did on a channel",
    columns=(
        _id("event_id", "The event"),
        Column("customer_id", STRING, "The customer, if known then", references="customers"),
        Column("identity", STRING, "`kind:value_hash` of an identity, if the customer was not known"),
        _occurred_at("When it happened"),
        Column("channel", STRING, "Channel: web, app, branch", nullable=False),
        Column("device", STRING, "Device: phone, tablet, desktop"),
        Column("kind", STRING, "Kind of event: page_view, search, visit", nullable=False),
        Column("topic", STRING, "What it was about"),
        Column("dwell_seconds", FLOAT64, "How long it lasted, seconds", minimum=0),
        _location(),
        _KNOWN_AT,
    ),
    key=("event_id",),
    time="occurred_at",
    one_of=("customer_id", "identity"),
)

CONTACTS = TableContract(
    name="contacts",
    meaning="Conversations with the customer: calls, visits, chats, complaints",
    columns=(
        _id("contact_id", "The conversation"),
        _customer(),
        _occurred_at("When it began"),
        Column("channel", STRING, "Channel: phone, branch, chat", nullable=False),
        Column("topic", STRING, "What it was about: complaint, move of house"),
        Column("duration_seconds", FLOAT64, "How long it lasted, seconds", minimum=0),
        Column("resolved", BOOL, "Whether the matter is settled"),
        Column("text", STRING, "Notes or transcript"),
        _KNOWN_AT,
    ),
    key=("contact_id",),
    time="occurred_at",
)

SOCIAL = TableContract(
    name="social",
    meaning="Posts of the customer that mention us",
    columns=(
        _id("post_id", "The post"),
        _customer(),
        _occurred_at("When it was posted"),
        Column("platform", STRING, "Platform", nullable=False),
        Column("text", STRING, "The post"),
        Column("topic", STRING, "What it is about"),
        _KNOWN_AT,
    ),
    key=("post_id",),
    time="occurred_at",
)

LOYALTY = TableContract(
    name="loyalty",
    meaning="Entries of the loyalty account",
    columns=(
        _id("entry_id", "The entry"),
        _customer(),
        _occurred_at("When it was booked"),
        Column("kind", STRING, "Kind: earn, redeem, expire, tier", nullable=False),
        Column("points", FLOAT64, "Points, negative when they leave the account"),
        Column("tier", STRING, "Tier after the entry"),
        _KNOWN_AT,
    ),
    key=("entry_id",),
    time="occurred_at",
)

LIFE_EVENTS = TableContract(
    name="life_events",
    meaning="What changed in the customer's life",
    columns=(
        _id("event_id", "The event"),
        _customer(),
        _occurred_at("When it happened"),
        Column("kind", STRING, "Kind: move, birth, marriage, retirement", nullable=False),
        _KNOWN_AT,
    ),
    key=("event_id",),
    time="occurred_at",
)

LOCATIONS = TableContract(
    name="locations",
    meaning="Stores, branches and other places",
    columns=(
        _id("location_id", "The place"),
        Column("latitude", FLOAT64, "Degrees north, WGS 84", minimum=-90, maximum=90),
        Column("longitude", FLOAT64, "Degrees east, WGS 84", minimum=-180, maximum=180),
        Column("kind", STRING, "Kind: store, branch, atm", nullable=False),
        _KNOWN_AT,
    ),
    key=("location_id",),
)

WEATHER = TableContract(
    name="weather",
    meaning="The weather at a place, hour by hour",
    columns=(
        _id("location_id", "The place", references="locations"),
        Column("hour", TIMESTAMP, "Start of the hour", nullable=False),
        Column("temperature", FLOAT64, "Degrees Celsius", minimum=-90, maximum=60),
        Column("condition", STRING, "In a word: dry, rain, snow"),
        _KNOWN_AT,
    ),
    key=("location_id", "hour"),
    time="hour",
)

PRESENTATIONS = TableContract(
    name="presentations",
    meaning="Actions shown to a customer",
    columns=(
        _id("presentation_id", "The presentation"),
        _customer(),
        _id("action_id", "The action shown"),
        Column("treatment_id", STRING, "The treatment shown"),
        Column("channel", STRING, "Channel", nullable=False),
        Column("placement", STRING, "Placement on the channel"),
        _occurred_at("When it was shown, or its campaign began"),
        Column(
            "exposure",
            STRING,
            "`observed`: recorded as shown. `imputed`: the campaign is known, what was shown is not",
            nullable=False,
            allowed=("observed", "imputed"),
        ),
        Column(
            "action_probability",
            FLOAT64,
            "Chance the policy then gave this pick, where it was recorded",
            minimum=0,
            maximum=1,
        ),
        Column("action_group", STRING, "Group the action belonged to when it was shown"),
        Column("campaign_id", STRING, "The campaign"),
        Column("campaign_kind", STRING, "Kind of campaign in the source's words"),
        Column("window_ends_at", TIMESTAMP, "When the attribution window closes: outcomes before it count"),
        Column(
            "offers_together", INT64, "How many actions the customer was given at the same time", minimum=1
        ),
        Column(
            "purposes",
            STRING,
            "What the customer had consented to when it was decided, with commas, `none` for nothing; empty: "
            "not recorded, the consents tell",
        ),
        _KNOWN_AT,
    ),
    key=("presentation_id",),
    time="occurred_at",
    not_before=(("window_ends_at", "occurred_at"),),
)

OUTCOMES = TableContract(
    name="outcomes",
    meaning="What came of a presentation",
    columns=(
        _id("outcome_id", "The outcome"),
        _id("presentation_id", "The presentation it answers", references="presentations"),
        Column("kind", STRING, "Kind: clicked, accepted, rejected, converted, redeemed", nullable=False),
        _occurred_at("When it was observed; the start of the day where only the day is known"),
        Column("value", FLOAT64, "Business value in the presentation's currency, where there is one"),
        _KNOWN_AT,
    ),
    key=("outcome_id",),
    time="occurred_at",
)

TABLES: dict[str, TableContract] = {
    table.name: table
    for table in (
        CUSTOMERS,
        IDENTITIES,
        CONSENTS,
        HOLDINGS,
        TRANSACTIONS,
        INTERACTIONS,
        CONTACTS,
        SOCIAL,
        LOYALTY,
        LIFE_EVENTS,
        LOCATIONS,
        WEATHER,
        PRESENTATIONS,
        OUTCOMES,
    )
}
"""Every canonical table by name, in the order of the documentation."""
