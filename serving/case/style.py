"""How the page of a case looks: on light and dark screens, and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #17202b; --soft: #56616f; --paper: #fff; --panel: #f4f6f9;
  --line: #d3dae3; --accent: #175cd3; --part: #8fb2ea; --good: #14663a; --bad: #a4231a; --warn: #7a4b00;
  --goodbg: #e3f4ea; --badbg: #fde9e7; --warnbg: #fdf1dc; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf2; --soft: #a3afbe; --paper: #12171e;
  --panel: #1b222c; --line: #35404e; --accent: #82b1ff; --part: #3f5f92; --good: #7fdba6; --bad: #ff9d94;
  --warn: #f3c877; --goodbg: #143224; --badbg: #3d1b19; --warnbg: #3a2d12; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.1rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.soft, .none, figcaption, caption { color: var(--soft); }
.lead { font-size: 1.06rem; }
.notice { background: var(--warnbg); color: var(--warn); padding: .5rem .8rem; border-radius: .4rem; }
nav ul { list-style: none; margin: 1rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1rem; }
a { color: var(--accent); }
.checks { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); }
.checks li { padding: .6rem .8rem; border-radius: .4rem; border-left: 4px solid; }
.checks strong { display: block; }
.good { background: var(--goodbg); border-color: var(--good) !important; }
.bad { background: var(--badbg); border-color: var(--bad) !important; }
.warn { background: var(--warnbg); border-color: var(--warn) !important; }
.good strong { color: var(--good); } .bad strong { color: var(--bad); } .warn strong { color: var(--warn); }
.word { font-weight: 600; white-space: nowrap; }
.word.good, .word.bad, .word.warn { padding: .05rem .4rem; border-radius: .3rem; }
.word.good { color: var(--good); } .word.bad { color: var(--bad); } .word.warn { color: var(--warn); }
dl { margin: .6rem 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
  gap: .5rem 1.5rem; }
dt { color: var(--soft); font-size: .82rem; } dd { margin: 0; overflow-wrap: anywhere; }
.offer { border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1.1rem; margin: 1rem 0;
  background: var(--panel); }
.offer h4:first-child { margin-top: 0; font-size: 1.05rem; }
.words { background: var(--paper); border: 1px dashed var(--line); border-radius: .4rem; padding: .2rem .8rem;
  margin: .5rem 0 .8rem; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
caption { text-align: left; padding: .2rem 0 .35rem; font-size: .88rem; }
th, td { text-align: left; vertical-align: top; padding: .32rem .6rem .32rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
thead th { white-space: nowrap; color: var(--soft); font-weight: 600; border-bottom-width: 2px; }
tbody th { font-weight: 600; }
tr.shown th, tr.shown td { background: var(--goodbg); }
.bar { display: block; width: 7rem; height: .5rem; margin-top: .2rem; }
.track { fill: var(--line); } .part { fill: var(--part); } .strong { fill: var(--accent); }
figure { margin: .8rem 0; } .funnel { width: 100%; max-width: 46rem; height: auto; }
.funnel text { fill: var(--ink); font: 13px system-ui, sans-serif; } .funnel .lost { fill: var(--soft); }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .8rem; margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --panel: #fff;
  --line: #bbb; --accent: #0b3d91; --part: #9db7e0; --good: #0b4a29; --bad: #7d1710; --warn: #5c3900;
  --goodbg: #fff; --badbg: #fff; --warnbg: #fff; }
  body { font-size: 10pt; max-width: none; padding: 0; } nav { display: none; }
  h2, h3, h4, summary { break-after: avoid; } .offer, tr, figure, .checks li { break-inside: avoid; }
  .scroll { overflow: visible; } details { border: 0; padding: 0; }
  details::details-content { content-visibility: visible; display: block; }
  thead { display: table-header-group; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
