(() => {
  const root = document.documentElement;
  const panels = JSON.parse(document.getElementById('wb-data').textContent).forest || {};
  const color = name => getComputedStyle(root).getPropertyValue(name).trim();
  const verdictColor = {faster: '--better', slower: '--worse', equivalent: '--same', inconclusive: '--open'};

  // A link to a folded table opens it.
  const unfold = () => {
    const id = location.hash.slice(1), section = id && document.getElementById(id), fold = section && section.querySelector('details.fold');
    if (!fold) return;
    fold.open = true;
    section.scrollIntoView();
  };
  addEventListener('hashchange', unfold);
  for (const a of document.querySelectorAll('nav a')) a.addEventListener('click', () => setTimeout(unfold));
  unfold();

  if (!Object.keys(panels).length || !window.echarts) return;

  const rowHeight = 26;
  function option(p, width) {
    const muted = color('--muted'), line = color('--line'), fg = color('--fg');
    const round = v => String(+(+v).toPrecision(3));
    const names = p.lines.map(l => l.run);
    const room = Math.min(width * 0.4, 20 + 6.5 * Math.max(...names.map(n => (brief[n] || n).length)));
    const ends = p.lines.flatMap(l => [l.change, l.low, l.high]).filter(v => v !== null).concat([p.margin, -p.margin]);
    const reach = Math.max(...ends.map(Math.abs)) * 1.12;
    const low = Math.min(...ends) < -p.margin ? -reach : -Math.max(reach * 0.15, p.margin * 1.5);
    const high = Math.max(...ends) > p.margin ? reach : Math.max(reach * 0.15, p.margin * 1.5);
    return {
      animation: false, backgroundColor: 'transparent', textStyle: {color: fg},
      aria: {enabled: true, label: {description: p.lines.map(l => `${l.run}: ${l.text}`).join('. ')}},
      grid: {left: names.length > 1 ? room : 8, right: 16, top: 8, bottom: 40},
      tooltip: {
        trigger: 'item', confine: true, backgroundColor: color('--bg'), borderColor: line, textStyle: {color: fg, fontSize: 13},
        extraCssText: 'max-width: 92vw; white-space: normal; overflow-wrap: anywhere',
        formatter: q => { const l = p.lines[q.value[3]]; return `${echarts.format.encodeHTML(l.run)}<br>${echarts.format.encodeHTML(l.text)}`; },
      },
      xAxis: {
        type: 'value', min: low, max: high, name: p.unit === '%' ? 'change, %' : 'change, percentage points', nameLocation: 'middle', nameGap: 24,
        nameTextStyle: {color: muted, fontSize: 12}, axisLabel: {color: muted, fontSize: 12, hideOverlap: true, formatter: round, showMinLabel: false, showMaxLabel: false},
        axisLine: {lineStyle: {color: muted}}, splitLine: {lineStyle: {color: line}}, splitNumber: 4,
      },
      yAxis: {
        type: 'category', data: names, inverse: true, axisTick: {show: false}, axisLine: {show: false},
        axisLabel: {show: names.length > 1, color: fg, fontSize: 12, width: room - 12, overflow: 'truncate', interval: 0, formatter: name => brief[name] || name},
      },
      series: [{
        type: 'custom', clip: true, encode: {x: [0, 1, 2], y: 3},
        // the margin within which changes do not matter, and the line of no change
        markArea: {silent: true, itemStyle: {color: color('--same'), opacity: 0.13}, data: [[{xAxis: -p.margin}, {xAxis: p.margin}]]},
        markLine: {silent: true, symbol: 'none', label: {show: false}, lineStyle: {color: muted, type: 'solid', width: 1}, data: [{xAxis: 0}]},
        data: p.lines.map((l, i) => ({value: [l.change, l.low ?? l.change, l.high ?? l.change, i], itemStyle: {color: color(verdictColor[l.verdict] || '--open')}}))
          .filter(d => d.value[0] !== null),
        renderItem(_, api) {
          const l = p.lines[api.value(3)], ink = api.visual('color');
          const at = v => api.coord([v, api.value(3)]);
          const [x, y] = at(api.value(0)), x1 = at(api.value(1))[0], x2 = at(api.value(2))[0];
          const stroke = (a, b, c, d) => ({type: 'line', shape: {x1: a, y1: b, x2: c, y2: d}, style: {stroke: ink, lineWidth: 2}});
          const mark = l.verdict === 'equivalent' ? {type: 'rect', shape: {x: x - 4.5, y: y - 4.5, width: 9, height: 9}, style: {fill: ink}}
            : {type: 'circle', shape: {cx: x, cy: y, r: 5}, style: l.verdict === 'inconclusive' ? {fill: color('--bg'), stroke: ink, lineWidth: 2} : {fill: ink}};
          const children = l.low === null ? [mark] : [stroke(x1, y, x2, y), stroke(x1, y - 5, x1, y + 5), stroke(x2, y - 5, x2, y + 5), mark];
          return {type: 'group', children};
        },
      }],
    };
  }

  // Runs of a plan have names such as four/caching=true/placement=system. The parts that all names share are left out.
  const runs = [...new Set(Object.values(panels).flatMap(p => p.lines.map(l => l.run)))];
  const parts = runs.map(n => n.split('/'));
  const brief = {};
  if (runs.length > 1 && parts.every(p => p.length === parts[0].length)) {
    const keep = parts[0].map((_, i) => i).filter(i => parts.some(p => p[i] !== parts[0][i]));
    runs.forEach((n, i) => { brief[n] = keep.map(k => parts[i][k].slice(parts[i][k].indexOf('=') + 1)).join(' '); });
  }

  const charts = new Map();
  const draw = id => {
    const el = document.getElementById(id);
    el.style.height = `${panels[id].lines.length * rowHeight + 54}px`;
    if (charts.has(id)) charts.get(id).dispose();
    const chart = echarts.init(el);
    charts.set(id, chart);
    chart.setOption(option(panels[id], el.clientWidth));
  };
  const redraw = () => Object.keys(panels).forEach(draw);
  redraw();
  for (const id of Object.keys(panels)) {
    new ResizeObserver(() => {
      const el = document.getElementById(id);
      if (el.clientWidth && charts.get(id).getWidth() !== el.clientWidth) draw(id);
    }).observe(document.getElementById(id));
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  document.getElementById('theme').addEventListener('click', () => setTimeout(redraw));
})();
