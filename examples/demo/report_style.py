"""The report's style sheet: one page, light and dark, narrow and wide, readable without colour."""

STYLE = """
:root{--ink:#1c2330;--soft:#5b6577;--paper:#fbfaf7;--card:#fff;--line:#e3e0d8;--good:#1f6f5c;--bad:#b4432e;--mid:#8a93a3}
@media(prefers-color-scheme:dark){:root{--ink:#e9e6df;--soft:#a4acba;--paper:#14171d;--card:#1d222b;--line:#323945;
--good:#5cc2a5;--bad:#f08a70;--mid:#7d8798}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1060px;margin:0 auto;padding:40px 20px 80px}
h1{font-size:2rem;line-height:1.2;margin:0 0 .4em;letter-spacing:-.01em}
h2{font-size:1.35rem;margin:2.6em 0 .3em;padding-top:.9em;border-top:1px solid var(--line)}
h3{font-size:1.08rem;margin:1.8em 0 .2em}
p{max-width:72ch;margin:.4em 0 .9em}
.lead{font-size:1.12rem}.soft,figcaption,caption{color:var(--soft);font-size:.92rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:1.4em 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.card b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.card span{color:var(--soft);font-size:.88rem}
figure{margin:1em 0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;overflow-x:auto}
.bars,.curve{min-width:480px}
figcaption{margin-top:.6em;max-width:80ch}
svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font-size:14px}
.bars .name{text-anchor:end}.bars .value{fill:var(--soft)}
.bars .us,.bars .on{fill:var(--good)}.bars .other{fill:var(--mid)}.bars .off{fill:var(--bad)}
.curve polyline{fill:none;stroke:var(--good);stroke-width:2.5}.curve circle{fill:var(--good)}
.curve text{text-anchor:middle;font-size:12px}.curve .axis{fill:var(--soft)}
g text{text-anchor:middle;font-weight:600}
.regular circle{fill:var(--good)}.newcomer circle{fill:var(--card);stroke:var(--good);stroke-width:5}
.attacker rect,.sybil rect{fill:var(--bad)}.sybil rect{opacity:.75}
line.vouch{stroke:var(--soft)}line.sham{stroke:var(--bad);opacity:.22}.tip{fill:var(--soft)}
.lists{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:16px}
.list{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px;min-width:0}
.list h4{margin:0 0 .4em;font-size:1rem}.list ol{margin:0;padding-left:1.6em}.list li{margin:.35em 0;overflow-wrap:anywhere}
.list small{display:block;color:var(--soft)}
.tag{display:inline-block;border:1px solid var(--bad);color:var(--bad);border-radius:4px;padding:0 6px;font-size:.78rem;
font-weight:700}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.95rem}
caption{text-align:left;padding:.2em 0 .6em}
th,td{text-align:right;padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{color:var(--soft);font-weight:600}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media(max-width:560px){dl{grid-template-columns:1fr}dd{margin-bottom:.5em}main{padding-top:24px}}
"""
