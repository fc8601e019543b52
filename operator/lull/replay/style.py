"""How a page looks, light and dark. The hues are those of Okabe and Ito, which colour-blind people tell apart."""

from __future__ import annotations

from typing import Final

_LIGHT: Final = {
    "page": "#fbfaf7",
    "card": "#ffffff",
    "edge": "#e3e0d8",
    "ink": "#1f2328",
    "soft": "#676d75",
    "grid": "#ece9e2",
    "accent": "#d55e00",
    "need": "#dcdfe4",
    "forbidden": "#eef1ef",
    "idle": "#0072b2",
    "start": "#e69f00",
    "work": "#c9ced6",
    "each": "#e8915a",
    "hues": "#d55e00 #e8915a #8a8f98 #0072b2 #009e73 #cc79a7 #e69f00 #56b4e9 #7a5c3e #4b4f8f #a0522d #b8860b #708090",
}
_DARK: Final = {
    "page": "#14171b",
    "card": "#1b1f25",
    "edge": "#2d333b",
    "ink": "#e8e6e1",
    "soft": "#9aa2ad",
    "grid": "#272c33",
    "accent": "#ff8a3d",
    "need": "#39414c",
    "forbidden": "#20272a",
    "idle": "#56b4e9",
    "start": "#e69f00",
    "work": "#4a525e",
    "each": "#c7713d",
    "hues": "#ff8a3d #c7713d #9aa2ad #4aa3df #2fbf96 #e29cc4 #f0b429 #8fd3ff #b9936c #9da2f0 #d98a5f #d9b13b #a8b4c2",
}


def _variables(theme: dict[str, str]) -> str:
    hues = theme["hues"].split()
    plain = [f"--{name}:{value}" for name, value in theme.items() if name != "hues"]
    return ";".join([*plain, *(f"--p{place}:{hue}" for place, hue in enumerate(hues))])


_MARKS: Final = "".join(
    f".front.p{place}{{stroke:var(--p{place})}}.chosen.p{place},.swept.p{place}{{fill:var(--p{place})}}"
    for place in range(len(_LIGHT["hues"].split()))
)

STYLE: Final = (
    f"""
:root{{color-scheme:light dark;{_variables(_LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{_variables(_DARK)}}}}}
"""
    + _MARKS
    + """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1060px;margin:0 auto;padding:48px 24px 80px}
h1{font-size:2.1rem;line-height:1.15;margin:0 0 6px;letter-spacing:-.02em}
h2{font-size:1.25rem;margin:52px 0 6px;letter-spacing:-.01em}
h3{font-size:1rem;margin:0}
p{max-width:72ch;margin:8px 0}
.soft{color:var(--soft)}
.lead{font-size:1.1rem;max-width:70ch}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:14px;margin:28px 0 8px}
.card,figure{background:var(--card);border:1px solid var(--edge);border-radius:12px}
.card{padding:16px 18px}
.card b{display:block;font-size:2rem;line-height:1.15;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.card.first b{color:var(--accent)}
.card span{color:var(--soft);font-size:.9rem}
figure{margin:14px 0;padding:16px 16px 10px;overflow-x:auto}
figure svg{display:block;width:100%;height:auto}
figure.wide svg{min-width:700px}
figcaption{color:var(--soft);font-size:.9rem;padding:2px 4px 6px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,1fr));gap:14px}
.pair figure{margin:0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem;margin:12px 0}
th,td{padding:7px 10px;text-align:right;border-bottom:1px solid var(--edge);white-space:nowrap}
th{color:var(--soft);font-weight:500;vertical-align:bottom}
th:first-child,td:first-child{text-align:left;white-space:normal;overflow-wrap:anywhere}
tr.lull td{font-weight:600}
footer{margin-top:56px;padding-top:16px;border-top:1px solid var(--edge);color:var(--soft);font-size:.9rem}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,monospace}
text{fill:var(--ink);font:13px system-ui,-apple-system,"Segoe UI",sans-serif}
text.tick{fill:var(--soft);font-size:12px}
text.name{fill:var(--soft);font-size:12.5px}
text.note{fill:var(--soft);font-style:italic}
text.strong{font-weight:700}
.grid{stroke:var(--grid)}
.axis{stroke:var(--soft)}
.objective{stroke:var(--soft);stroke-dasharray:2 4}
.front{fill:none;stroke-width:1.6;opacity:.75}
.front.p0{stroke-width:3.2;opacity:1}
.front.clairvoyant{stroke:var(--ink);stroke-width:1.8;stroke-dasharray:7 4;opacity:1}
.forbidden{fill:var(--forbidden)}
.chosen{stroke:var(--card);stroke-width:1.4}
.swept{opacity:.6}
.bar.idle_j{fill:var(--idle)}
.bar.start_j{fill:var(--start)}
.bar.dynamic_j{fill:var(--work)}
.need{fill:var(--need)}
.replicas{fill:none;stroke-width:1.4}
.replicas.lull{stroke:var(--accent);stroke-width:1.8}
.replicas.clairvoyant{stroke:var(--ink);stroke-width:1.1;stroke-dasharray:4 3;opacity:.85}
.key{display:inline-block;width:26px;height:0;border-top:2px solid;vertical-align:middle;margin:0 6px 0 14px}
.key.lull{border-color:var(--accent)}
.key.clairvoyant{border-color:var(--ink);border-top-style:dashed}
.key.need{height:10px;border:0;background:var(--need)}
"""
)
