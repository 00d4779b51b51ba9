"""Figures and scripts inside one HTML file that asks nobody for anything, the same bytes each time."""

import base64
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import holoviews as hv
from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.resources import Resources


def figure_json(figure: hv.Overlay, target: str) -> str:
    """Draw a figure into the JSON that BokehJS shows, safe inside a script element.

    Parameters
    ----------
    figure : holoviews Overlay
        What to draw.
    target : str
        Identity in the page; the identities of the parts of the figure begin with it.

    Returns
    -------
    str
        Equal for equal figures: Bokeh numbers what it makes over the life of a process, so these are renumbered.
    """
    with _quiet_bokeh():
        item: dict[str, Any] = {**json_item(hv.renderer("bokeh").get_plot(figure).state, ID(target))}
    names: dict[str, str] = {}
    for identity in _identities(item["doc"]):
        names.setdefault(identity, f"{target}-{len(names)}")
    item["root_id"] = names[item["root_id"]]
    item["doc"] = _renamed(item["doc"], names)
    return script_json(item)


def script_json(value: object) -> str:
    r"""Write JSON that cannot end the script element it stands in.

    Examples
    --------
    >>> script_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def viewer_script() -> str:
    """Give the source of BokehJS, without its parts for widgets, tables and formulas."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True, log_level="error").js_raw)


def content_security_policy(scripts: Sequence[str]) -> str:
    """Give the policy under which the page runs these scripts and no other, and fetches nothing.

    Parameters
    ----------
    scripts : sequence of str
        Exact text of each script element.
    """
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _identities(value: Any) -> Iterator[str]:  # noqa: ANN401  any JSON value
    if isinstance(value, Mapping):
        identity = value.get("id")
        if isinstance(identity, str):
            yield identity
        for part in value.values():
            yield from _identities(part)
    elif isinstance(value, list):
        for part in value:
            yield from _identities(part)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, Mapping):
        return {key: names[part] if key == "id" else _renamed(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part, names) for part in value]
    return value


@contextmanager
def _quiet_bokeh() -> Iterator[None]:
    # Bokeh warns that a figure of fixed frame has no fixed outer size, which is how HoloViews asks for it.
    checks = logging.getLogger("bokeh.core.validation.check")
    before = checks.level
    checks.setLevel(logging.ERROR)
    try:
        yield
    finally:
        checks.setLevel(before)
