"""The report's style sheet: light and dark, wide and narrow; shapes, stripes and words say what colours say."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--paper:#faf9f6;--card:#fff;--ink:#1d2430;--soft:#5a6474;--line:#e4e1d9;--track:#efede7;
--ours:#0f6d61;--other:#9aa1ad;--new:#3552b5;--bad:#b23f25;--bad-pale:#f3d3c9;--bad-wash:#fcf2ee}
@media(prefers-color-scheme:dark){:root{--paper:#12151a;--card:#1a1e25;--ink:#e8e6e1;--soft:#a2aab7;--line:#2e353f;
--track:#262c35;--ours:#54c3ae;--other:#78818f;--new:#93abff;--bad:#f0896c;--bad-pale:#5a2e23;--bad-wash:#2a1d1a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:1rem/1.6 -apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,sans-serif}
main,header,footer{max-width:62rem;margin:0 auto;padding:0 1.5rem}
header{padding-top:4rem}
footer{padding:2.5rem 1.5rem 4rem;color:var(--soft);font-size:.875rem}
h1,h2,h3,h4{line-height:1.2;text-wrap:balance;margin:0}
h1{font-size:clamp(1.9rem,1.3rem + 2.6vw,2.9rem);letter-spacing:-.022em;font-weight:700;max-width:32ch}
h1 span{white-space:nowrap}
h2{font-size:1.55rem;letter-spacing:-.012em;display:flex;gap:.75rem}
h2 .number{color:var(--soft);font-weight:400}
h3{font-size:1.15rem;margin:2.75rem 0 .35rem}
h4{font-size:.95rem}
p{margin:.75rem 0;max-width:68ch;text-wrap:pretty}
a{color:var(--new);text-underline-offset:.18em}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--new);outline-offset:3px;border-radius:4px}
code,pre,.mono{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace;font-size:.86em}
.eyebrow{margin:0 0 .9rem;color:var(--soft);font-size:.875rem}
.eyebrow b{color:var(--ours);font-weight:650}
.lead{font-size:1.19rem;line-height:1.62;max-width:64ch;margin:1.4rem 0 0}
.lead b,.verdict b{font-weight:650;white-space:nowrap}
.soft{color:var(--soft)}
nav ol{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem 1.4rem;padding:1.1rem 0 0;margin:1.8rem 0 0;
border-top:1px solid var(--line);font-size:.925rem}
nav a{text-decoration:none;color:var(--soft)}nav a:hover{color:var(--ink);text-decoration:underline}
section{padding-top:4.25rem;scroll-margin-top:-2rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(13.5rem,1fr));gap:1px;margin:1.4rem 0 0;
background:var(--line);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.card{background:var(--card);padding:1.15rem 1.25rem 1.2rem;display:flex;flex-direction:column}
.card dt{color:var(--soft);font-size:.875rem}
.card dd{margin:0}
.card .figure{font-size:1.95rem;line-height:1.25;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.card .context{color:var(--soft);font-size:.84rem;line-height:1.45;margin-top:.15rem}
figure{margin:1.5rem 0;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.4rem 1.5rem 1.25rem}
figure h3{margin:0 0 1rem;font-size:1rem}
figcaption{color:var(--soft);font-size:.92rem;line-height:1.55;margin-top:1.05rem;max-width:72ch}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1.5rem 2.75rem}
svg{display:block;overflow:visible}
svg text{fill:var(--ink);font-size:14px}
.bars .value{text-anchor:end;font-variant-numeric:tabular-nums;font-weight:600}
.track{fill:var(--track)}
.ours,.on{fill:var(--ours)}.bars .other{fill:var(--other)}
.pale{fill:var(--bad-pale)}.strong{fill:var(--bad)}
.lines .line{stroke:var(--ours);stroke-width:2.5;stroke-linecap:round}
.lines .axis{stroke:var(--line)}
.lines .dot{fill:var(--card);stroke:var(--ours);stroke-width:2.5}
.lines .value{font-weight:600;font-size:13px}.lines .soft{fill:var(--soft);font-size:13px}
.graph{width:100%;height:auto}.graph.upright{display:none}
.graph path.vouch,.graph path.entry,.graph path.breach{fill:none}
.graph text{font-size:15px;paint-order:stroke;stroke:var(--card);stroke-width:5px;stroke-linejoin:round}
.graph .who{font-weight:650}.graph .note{fill:var(--soft);font-size:13.5px}
.graph.upright text{font-size:23px}.graph.upright .note{font-size:20px}
.graph path.vouch{stroke:var(--other)}.graph path.entry{stroke:var(--new)}
.graph path.breach{stroke:var(--bad);stroke-dasharray:9 7}.graph path.sham{stroke:var(--bad);stroke-width:1;opacity:.28}
.graph path.tip{stroke:none;stroke-dasharray:none}.graph path.tip.vouch{fill:var(--other)}.graph path.tip.entry{fill:var(--new)}.graph path.tip.breach{fill:var(--bad)}
.regular .disc{fill:var(--ours)}
.newcomer .disc{fill:var(--card);stroke:var(--new);stroke-width:4}.newcomer .pupil{fill:var(--new)}
.attacker .diamond{fill:var(--bad)}.sybil .diamond{stroke:var(--bad);stroke-width:1.2}
.legend{list-style:none;margin:1rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.4rem 1.4rem;font-size:.875rem}
.legend li{display:flex;align-items:center;gap:.5rem}
.legend svg{flex:none}
.history{color:var(--soft);margin-top:0}
.lists{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:0 2.25rem;margin:1.3rem 0 0}
.off .lists{grid-template-columns:repeat(2,minmax(0,1fr))}
.list>p{margin:.2rem 0 0;font-size:.875rem;color:var(--soft);padding-bottom:.6rem;border-bottom:1px solid var(--line)}
.list ol{list-style:none;margin:0;padding:0}
.list li{display:grid;grid-template-columns:1.5rem minmax(0,1fr);padding:.6rem 0;border-bottom:1px solid var(--line);
overflow-wrap:anywhere;line-height:1.4}
.list li .rank{color:var(--soft);font-size:.875rem;font-variant-numeric:tabular-nums}
.list li .title{font-weight:550;font-size:.95rem}
.list li .why{display:block;color:var(--soft);font-size:.83rem;line-height:1.45;margin-top:.12rem}
.list li.spam{background:var(--bad-wash);box-shadow:-.6rem 0 0 var(--bad-wash),.6rem 0 0 var(--bad-wash)}
.tag{display:inline-block;background:var(--bad);color:var(--paper);border-radius:3px;padding:0 .38em;margin-left:.5em;
font-size:.72rem;font-weight:700;letter-spacing:.02em;line-height:1.5;vertical-align:.1em}
details{margin:1.4rem 0 0}
summary{cursor:pointer;color:var(--new);font-size:.95rem;width:fit-content}
.verdict{border-left:3px solid var(--ours);padding-left:1.1rem;font-size:1.08rem}
.scroll{overflow-x:auto;margin:1.5rem 0}
table{border-collapse:collapse;width:100%;font-size:.925rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:.7rem;font-size:.92rem;line-height:1.5}
th,td{text-align:left;padding:.55rem .9rem .55rem 0;border-bottom:1px solid var(--line);font-weight:400;white-space:nowrap}
thead th{color:var(--soft);font-size:.84rem;vertical-align:bottom}
.number{text-align:right}td.number,thead th.number{padding:.55rem 0 .55rem .9rem}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.6rem 2rem;margin:1.25rem 0}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
pre{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.1rem 1.3rem;overflow-x:auto;line-height:1.75}
@media(max-width:46rem){
header{padding-top:2.25rem}main,header,footer{padding-left:1rem;padding-right:1rem}section{padding-top:3.25rem}
.lead{font-size:1.08rem}.cards{grid-template-columns:1fr 1fr}.card{padding:.9rem}.card .figure{font-size:1.5rem}
figure{padding:1.1rem 1rem}.pair,.lists,.off .lists{grid-template-columns:minmax(0,1fr)}.list+.list{margin-top:2rem}
.graph.across{display:none}.graph.upright{display:block}
.facts{grid-template-columns:minmax(0,1fr);gap:0}.facts dd{margin-bottom:.8rem}caption{max-width:calc(100vw - 2rem)}
tbody th{white-space:normal;min-width:6.5rem}}
@media print{details{display:block}nav{display:none}figure,.card,.list li{break-inside:avoid}}
"""
