"""HTML that cannot be broken out of: every text is escaped unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Markup; anything else is text."""

    __slots__ = ()


Content = str | Iterable["Content"] | None
"""Text, markup, or any number of them; None is nothing."""

_EMPTY = frozenset({"meta"})


def join(content: Content) -> Html:
    """Return content as markup, text escaped."""
    if content is None:
        return Html()
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        # What no page can hold would be dropped by one browser and shown by another
        plain = "".join(
            letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in content
        )
        return Html(html.escape(plain, quote=True))
    return Html("".join(map(join, content)))


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """Return an element. ``class_`` is class, ``aria_label`` aria-label; True is a bare name, None none.

    Examples
    --------
    >>> print(tag("p", "a < b", class_="note"))
    <p class="note">a &lt; b</p>
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{written}>" if name in _EMPTY else f"<{name}{written}>{join(content)}</{name}>")


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value), quote=True)}"'


def table(
    caption: Content, heads: Sequence[str], rows: Iterable[Sequence[Content]], *, class_: str | None = None
) -> Html:
    """Return a table whose first column names its rows; a line instead where it would be empty."""
    body = [
        tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in rest]) for first, *rest in rows
    ]
    if not body:
        return tag("p", tag("strong", caption), ": none.", class_="none")
    head = tag("tr", [tag("th", name, scope="col") for name in heads])
    return tag(
        "div",
        tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body), class_=class_),
        class_="scroll",
    )


def facts(pairs: Iterable[tuple[str, Content]]) -> Html:
    """Return a list of names and what each is."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs])


def bar(share: float, *, strong: bool = False) -> Html:
    """Return a small bar of a share of 1; it only draws what a number beside it says."""
    width = round(100 * min(max(share, 0.0), 1.0), 1)
    full = tag("rect", width=100, height=8, class_="track")
    part = tag("rect", width=width, height=8, class_="strong" if strong else "part")
    return tag(
        "svg", full, part, viewBox="0 0 100 8", class_="bar", aria_hidden="true", preserveAspectRatio="none"
    )
