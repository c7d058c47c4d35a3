'use strict';
(() => {
  const data = JSON.parse(document.getElementById('wb-data').textContent);
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const dark = () => (root.dataset.theme || (system.matches ? 'dark' : 'light')) === 'dark';
  const color = name => getComputedStyle(root).getPropertyValue(name).trim();
  const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

  // Colours after Okabe and Ito, darker on white and lighter on black: each has a contrast of 3:1 with the background.
  const palette = {
    light: ['#0072b2', '#d55e00', '#008a66', '#b0558f', '#3a9bd0', '#a87400', '#6f5bb0', '#66707c', '#8a5a2b', '#c2185b', '#5d7a00',
      '#00767f'],
    dark: ['#56a8e0', '#f5924e', '#2fc39a', '#e29bc6', '#9bd3f7', '#f0bc42', '#b1a3e6', '#a5aeb9', '#c9986a', '#f58fb0', '#b8cc4a',
      '#4fd0d8'],
  };
  const shownAtFirst = 8; // series; the picker shows the others

  const format = v => {
    if (v === null || v === undefined || v === '' || Number.isNaN(+v)) return '·';
    const n = +v, a = Math.abs(n);
    if (a !== 0 && (a < 1e-4 || a >= 1e15)) return n.toExponential(2).replace(/\.?0+e/, 'e');
    return a >= 1000 ? n.toLocaleString('en-US', {maximumFractionDigits: 0}) : String(+n.toPrecision(4));
  };
  // Sizes are read more easily as 16K and 10.9 GB. The tooltip gives the digits, too.
  const scaled = (v, steps) => {
    const [by, unit] = steps.find(([by]) => Math.abs(v) >= by) || steps.at(-1);
    return (+(v / (by || 1)).toPrecision(3)) + unit;
  };
  const size = (v, unit) => {
    const n = +v;
    if (format(v) === '·') return '·';
    if (unit === 'bytes') return scaled(n, [[1e12, ' TB'], [1e9, ' GB'], [1e6, ' MB'], [1e3, ' kB'], [0, ' B']]);
    if (unit === 'tokens' && Math.abs(n) >= 1e3) return scaled(n, [[1e9, 'G'], [1e6, 'M'], [1e3, 'K']]);
    return format(v);
  };
  const withUnit = (v, unit) => {
    if (unit === 'bytes' && format(v) !== '·') return `${size(v, unit)} (${format(v)} bytes)`;
    return format(v) + (unit && unit !== 'ratio' && format(v) !== '·' ? ' ' + unit : '');
  };
  const utc = ms => new Date(ms).toISOString().replace('T', ' ');

  // look adds to the option of a chart what depends on the window and the theme.
  function look(c, el) {
    const o = structuredClone(c.option);
    const width = el.clientWidth, narrow = width < 560;
    const fg = color('--fg'), muted = color('--muted'), line = color('--line');
    const titleFont = {fontSize: narrow ? 14 : 15, fontWeight: 600, fontFamily: font};
    const pen = document.createElement('canvas').getContext('2d');
    pen.font = `${titleFont.fontWeight} ${titleFont.fontSize}px ${font}`;
    const lines = Math.max(1, Math.ceil(1.05 * pen.measureText(o.title.text).width / width));

    let top = lines * 20 + 8;
    o.useUTC = true;
    o.backgroundColor = 'transparent';
    o.color = palette[dark() ? 'dark' : 'light'];
    o.textStyle = {fontFamily: font};
    Object.assign(o.title, {left: 0, top: 0, padding: 0, textStyle: {...titleFont, lineHeight: 20, color: fg, width, overflow: 'break'}});
    const brief = briefly(o.series.map(s => s.name), narrow ? 20 : 40);
    Object.assign(o.legend, {
      left: 0, top, padding: [2, 0], itemGap: 16, itemWidth: c.kind === 'scatter' ? 12 : 22, itemHeight: 12,
      textStyle: {color: fg, fontSize: 12, width: narrow ? 150 : 280, overflow: 'truncate'},
      formatter: name => (brief[name] || name).replace(/ \(bytes\)$/, ''),
      pageTextStyle: {color: muted}, pageIconColor: fg, pageIconInactiveColor: line, pageIconSize: 11, tooltip: {show: true},
    });
    if (o.legend.show) top += 30;

    const axis = {
      axisLine: {lineStyle: {color: muted}}, axisTick: {lineStyle: {color: muted}},
      splitLine: {show: true, lineStyle: {color: line}},
      nameTextStyle: {color: muted, fontSize: 12},
    };
    const [x, y] = [o.xAxis[0], o.yAxis[0]];
    Object.assign(x, axis, {nameGap: 28, splitLine: {show: c.kind === 'scatter', lineStyle: {color: line}}});
    Object.assign(y, axis, {nameTextStyle: {color: muted, fontSize: 12, align: 'left', padding: [0, 0, 2, -4]}, axisLine: {show: false}, axisTick: {show: false}});
    const label = {color: muted, fontSize: 12, hideOverlap: true};
    x.axisLabel = {...label};
    y.axisLabel = {...label, formatter: v => size(v, c.yUnit)};
    if (c.yUnit === 'bytes') y.name = y.name.replace(/ ?\(?bytes\)?$/, '');
    if (c.xType === 'value' || c.xType === 'log') x.axisLabel.formatter = v => size(v, /\(tokens\)$/.test(c.xLabel) ? 'tokens' : '');
    const at = v => c.xType === 'time' ? utc(v) : c.xType === 'category' ? String(v) : format(v);
    x.axisPointer = {label: {show: false, formatter: p => `${c.xLabel}: ${at(p.value)}`}}; // the tooltip's first line
    if (c.xType === 'category') {
      const n = x.data.length, room = (width - 70) / Math.max(1, n);
      const within = px => text => shorten(pen, String(text), px); // the ends of names differ more often than their beginnings
      pen.font = '12px ' + font;
      if (room >= 44) Object.assign(x.axisLabel, {interval: 0, hideOverlap: false, formatter: within(room - 8)});
      else if (c.kind === 'interval' || room >= 16) Object.assign(x.axisLabel, {interval: 0, hideOverlap: false, rotate: 60, formatter: within(130)});
      else Object.assign(x.axisLabel, {formatter: within(120), alignMinLabel: 'left', alignMaxLabel: 'right'});
      x.axisTick = {alignWithLabel: true, lineStyle: {color: muted}};
    }
    if (c.xType === 'time' && narrow) x.splitNumber = 3;
    if (c.xType === 'time' && x.minInterval) Object.assign(x.axisLabel, {formatter: '{yyyy}-{MM}-{dd}', showMaxLabel: true, alignMaxLabel: 'right'}); // days
    // A logarithmic axis has no zero: bars begin at the power of ten below the smallest figure.
    if (c.kind === 'bar' && y.type === 'log') {
      const least = Math.min(...o.series.flatMap(s => s.data.map(d => d.value[1])).filter(v => v > 0));
      y.min = y.startValue = 10 ** (Math.ceil(Math.log10(least)) - 1);
    }

    if (c.marks && c.marks.length) mark(o, c.marks, {width, muted, line});
    const zoom = o.dataZoom || [];
    for (const z of zoom) {
      if (z.type === 'inside') Object.assign(z, {zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false}); // the wheel alone scrolls the page
      else Object.assign(z, {bottom: 4, height: 22, left: 48, right: 24, showDetail: false, brushSelect: false, borderColor: line});
    }
    if (x.axisLabel.rotate) x.nameGap = 110;
    o.grid = {left: 4, right: 30, top: top + 28, bottom: 28 + (zoom.length ? 38 : 0), containLabel: true};

    Object.assign(o.tooltip, {
      confine: true, backgroundColor: color('--bg'), borderColor: line, textStyle: {color: fg, fontSize: 13},
      extraCssText: 'max-width: 92vw; white-space: normal; overflow-wrap: anywhere',
      valueFormatter: v => withUnit(v, c.yUnit),
    });
    if (c.kind === 'scatter') {
      const text = s => echarts.format.encodeHTML(s);
      o.tooltip.formatter = p => {
        return `${p.marker}${text(p.seriesName)}<br>${text(c.xLabel)}: ${text(at(p.value[0]))}<br>${text(y.name)}: <b>${text(format(p.value[1]))}</b>`;
      };
    }
    if (c.kind === 'interval') {
      const text = s => echarts.format.encodeHTML(s);
      o.tooltip.formatter = p => {
        const [what, value, low, high] = p.value;
        return `${text(String(what))}<br>${text(p.seriesName)}: <b>${text(format(value))}</b><br>${text(format(low))} to ${text(format(high))}`;
      };
      o.series.forEach((s, nth) => {
        Object.assign(s, {
          type: 'custom', encode: {x: 0, y: [1, 2, 3]},
          // the line of no change
          markLine: {silent: true, symbol: 'none', label: {show: false}, animation: false, lineStyle: {color: muted, type: 'dashed', width: 1}, data: [{yAxis: 0}]},
          renderItem(_, api) {
            const ink = api.visual('color'), aside = (nth - (o.series.length - 1) / 2) * 14;
            const at = v => { const [px, py] = api.coord([api.value(0), v]); return [px + aside, py]; };
            const [cx, mid] = at(api.value(1)), low = at(api.value(2))[1], high = at(api.value(3))[1];
            const line = (x1, y1, x2, y2) => ({type: 'line', shape: {x1, y1, x2, y2}, style: {stroke: ink, lineWidth: 2}});
            return {type: 'group', children: [line(cx, low, cx, high), line(cx - 6, low, cx + 6, low), line(cx - 6, high, cx + 6, high),
              {type: 'circle', shape: {cx, cy: mid, r: 4.5}, style: {fill: ink}}]};
          },
        });
      });
    }
    for (const s of o.series) {
      const ink = (c.inks || {})[s.name];
      if (ink !== undefined) {
        s.itemStyle = {...s.itemStyle, color: o.color[ink]};
        if (s.type === 'line') s.lineStyle = {...s.lineStyle, color: o.color[ink]};
      }
      if (s.type === 'bar') s.barMaxWidth = 56;
      if (s.type === 'line') s.emphasis = {focus: o.series.length > 1 ? 'series' : 'none'};
    }
    return o;
  }

  // shorten cuts a text at its beginning, so that it takes at most width pixels.
  function shorten(pen, text, width) {
    if (pen.measureText(text).width <= width) return text;
    const letters = [...text];
    while (letters.length > 1 && pen.measureText('…' + letters.join('')).width > width) letters.shift();
    return '…' + letters.join('');
  }

  // mark shades the stretches of the axis, such as the times of turns, and labels those that have room.
  function mark(o, marks, {width, muted, line}) {
    const pen = document.createElement('canvas').getContext('2d');
    pen.font = '11px ' + font;
    const xs = o.series.flatMap(s => s.data.map(d => +d.value[0]));
    const span = Math.max(...xs) - Math.min(...xs) || 1;
    o.series[0].markArea = {
      silent: true, animation: false, label: {position: 'insideTop', color: muted, fontSize: 11},
      data: marks.map((m, i) => {
        const room = (m.to - m.from) / span * (width - 80);
        return [{xAxis: m.from, label: {show: pen.measureText(m.label).width < room, formatter: () => m.label},
          itemStyle: {color: line, opacity: i % 2 ? .35 : .7}}, {xAxis: m.to}];
      }),
    };
  }

  // Runs of a plan have names such as apc/caching=true/placement=system. The legend leaves out the parts that all names share, and, if it
  // is still long, the names of the settings.
  function briefly(names, most) {
    const parts = names.map(n => n.split('/')), first = parts[0] || [];
    if (names.length < 2 || parts.some(p => p.length !== first.length)) return {};
    const keep = first.map((_, i) => i).filter(i => parts.some(p => p[i] !== first[i]));
    let out = parts.map(p => keep.map(i => p[i]));
    if (out.some(p => p.join('/').length > most)) out = out.map(p => p.map(s => s.slice(s.indexOf('=') + 1)));
    return Object.fromEntries(names.map((n, i) => [n, out[i].join('/')]));
  }

  const drawn = new Map();
  const shown = id => !document.getElementById(id).closest('details:not([open])'); // a chart is drawn when its table is unfolded
  function draw(id) {
    const el = document.getElementById(id);
    if (drawn.has(id)) drawn.get(id).dispose();
    const chart = echarts.init(el, dark() ? 'dark' : null);
    drawn.set(id, chart);
    chart.setOption(look(data.charts[id], el));
    const {group} = data.charts[id];
    if (group) {
      chart.group = group;
      echarts.connect(group);
    }
    pick(id, el);
  }

  // pick adds, under a chart of many series, a list from which a person chooses those that are shown.
  const picked = new Map(); // the names that are shown, by chart
  function pick(id, el) {
    const names = [...new Set(data.charts[id].option.series.map(s => s.name))];
    if (names.length <= shownAtFirst) return;
    if (!picked.has(id)) picked.set(id, new Set(names.slice(0, shownAtFirst)));
    const shown = picked.get(id), chart = drawn.get(id);
    const apply = () => chart.setOption({legend: {
      data: names.filter(n => shown.has(n)), selected: Object.fromEntries(names.map(n => [n, shown.has(n)])),
    }});
    apply();
    el.parentElement.querySelector('.picker')?.remove();
    const box = document.createElement('details'), list = document.createElement('div');
    box.className = 'picker';
    const count = () => { box.firstChild.textContent = `${shown.size} of ${names.length} series are shown: choose`; };
    box.append(document.createElement('summary'));
    const search = document.createElement('input');
    Object.assign(search, {type: 'search', placeholder: 'Search', ariaLabel: 'Search the series'});
    search.addEventListener('input', () => {
      for (const row of list.children) row.hidden = !row.textContent.toLowerCase().includes(search.value.toLowerCase());
    });
    for (const n of names) {
      const row = document.createElement('label'), tick = document.createElement('input');
      Object.assign(tick, {type: 'checkbox', checked: shown.has(n)});
      tick.addEventListener('change', () => {
        if (tick.checked) shown.add(n); else shown.delete(n);
        count();
        apply();
      });
      row.append(tick, ' ' + n);
      list.append(row);
    }
    count();
    box.append(search, list);
    el.after(box);
  }
  function save(url, name) {
    const a = document.createElement('a');
    a.href = url;
    a.download = name;
    a.click();
  }

  const ids = Object.keys(data.charts);
  if (ids.length && !window.echarts) {
    const instead = '<p class="empty">The chart library could not be loaded. The data is below.</p>';
    for (const id of ids) document.getElementById(id).outerHTML = instead;
  } else {
    for (const id of ids) {
      if (shown(id)) draw(id);
      new ResizeObserver(() => {
        const chart = drawn.get(id), el = document.getElementById(id);
        if (!chart || !shown(id)) return;
        if (chart.getWidth() === el.clientWidth && chart.getHeight() === el.clientHeight) return;
        chart.resize();
        chart.setOption(look(data.charts[id], el));
      }).observe(document.getElementById(id));
    }
    document.addEventListener('toggle', () => ids.forEach(id => {
      const el = document.getElementById(id), chart = drawn.get(id);
      if (shown(id) && (!chart || chart.getWidth() !== el.clientWidth)) draw(id);
    }), true); // it does not bubble
    for (const b of document.querySelectorAll('[data-png]')) {
      b.hidden = false;
      b.addEventListener('click', () => {
        const url = drawn.get(b.dataset.png).getDataURL({type: 'png', pixelRatio: 2, backgroundColor: color('--bg')});
        save(url, data.charts[b.dataset.png].file + '.png');
      });
    }
  }
  for (const b of document.querySelectorAll('[data-csv]')) {
    b.hidden = false;
    b.addEventListener('click', () => {
      const csv = data.csv[b.dataset.csv];
      const url = URL.createObjectURL(new Blob([csv.text], {type: 'text/csv'}));
      save(url, csv.file);
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    });
  }

  const toggle = document.getElementById('theme');
  const name = () => {
    toggle.textContent = dark() ? 'Light' : 'Dark';
    toggle.setAttribute('aria-label', `Switch to the ${dark() ? 'light' : 'dark'} theme`);
  };
  const restyle = () => {
    name();
    for (const id of [...drawn.keys()]) {
      if (shown(id)) draw(id);
      else { drawn.get(id).dispose(); drawn.delete(id); } // it is drawn again when its table is unfolded
    }
  };
  name();
  toggle.hidden = false;
  toggle.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    restyle();
  });
  system.addEventListener('change', restyle);
})();
