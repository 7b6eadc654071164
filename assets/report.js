/* The page for browsers: reads the facts and values that html.c wrote, and draws what the chosen cell looks at.
 *
 * A cell is named by y, x on the finest grid. A view is what the large picture shows: the evidence, or one map of a block
 * (a head, or -1: the mean of its heads). Evidence is that of any class by the exact CAM, or one of the maps that another
 * method has made. Values are multiples of an even spread, logits per cell, or in the unit of such a map. */
(function () {
"use strict";

const id = name => document.getElementById(name);
const facts = JSON.parse(id("facts").textContent);
const blocks = facts.blocks, classes = facts.classes, evidence = facts.evidence;
const MINUS = "\u2212", TIMES = "\u00d7";
const COVER = 0.25; /* the place in the table where an overlay begins: what is darker cannot be seen over a photo */

document.documentElement.classList.add("scripted");

/* ---- bytes */

function bytesOf(base64) {
  const text = atob(base64), out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/* A zlib stream (RFC 1950, 1951) of `size` bytes. In plain script, so that every browser reads the page alike. */
function inflate(from, size) {
  const out = new Uint8Array(size);
  let at = 2, put = 0, hold = 0, held = 0;
  function bits(n) {
    while (held < n) { hold |= from[at++] << held; held += 8; }
    const v = hold & ((1 << n) - 1);
    hold >>>= n;
    held -= n;
    return v;
  }
  function code(lengths) { /* canonical: how many codes of each length, and their symbols in order */
    const count = new Uint16Array(16), next = new Uint16Array(16), symbols = new Uint16Array(lengths.length);
    for (const n of lengths) count[n]++;
    count[0] = 0;
    for (let i = 1; i < 16; i++) next[i] = next[i - 1] + count[i - 1];
    for (let i = 0; i < lengths.length; i++) if (lengths[i]) symbols[next[lengths[i]]++] = i;
    return { count, symbols };
  }
  function symbol(c) {
    let v = 0, first = 0, index = 0;
    for (let n = 1; n < 16; n++) {
      v |= bits(1);
      const count = c.count[n];
      if (v - first < count) return c.symbols[index + v - first];
      index += count;
      first = (first + count) << 1;
      v <<= 1;
    }
    throw new Error("the values of this page are damaged");
  }
  const fill = (n, v) => new Array(n).fill(v);
  function codes(type) {
    if (type === 1)
      return [code(fill(144, 8).concat(fill(112, 9), fill(24, 7), fill(8, 8))), code(fill(30, 5))];
    const literals = bits(5) + 257, distances = bits(5) + 1, order = bits(4) + 4, lengths = fill(19, 0), all = [];
    for (let i = 0; i < order; i++) lengths[[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][i]] = bits(3);
    const c = code(lengths);
    while (all.length < literals + distances) {
      const s = symbol(c);
      if (s < 16) all.push(s);
      else {
        const v = s === 16 ? all[all.length - 1] : 0;
        for (let n = s === 16 ? 3 + bits(2) : s === 17 ? 3 + bits(3) : 11 + bits(7); n > 0; n--) all.push(v);
      }
    }
    return [code(all.slice(0, literals)), code(all.slice(literals))];
  }
  for (let last = 0; !last;) {
    last = bits(1);
    const type = bits(2);
    if (type === 0) {
      at -= held >> 3;
      hold = held = 0;
      for (let n = from[at] | from[at + 1] << 8, i = at + 4; n > 0; n--, at++) out[put++] = from[i++];
      at += 4;
      continue;
    }
    const [literal, distance] = codes(type);
    for (let s; (s = symbol(literal)) !== 256;) {
      if (s < 256) { out[put++] = s; continue; }
      s -= 257;
      const top = s < 8 ? 0 : (s >> 2) - 1;
      let length = s === 28 ? 258 : s < 8 ? s + 3 : ((4 + (s & 3)) << top) + 3 + bits(top);
      const d = symbol(distance), deep = d < 4 ? 0 : (d >> 1) - 1;
      const back = d < 4 ? d + 1 : ((2 + (d & 1)) << deep) + 1 + bits(deep);
      while (length-- > 0) { out[put] = out[put - back]; put++; }
    }
  }
  return out;
}

/* The floats and codes of an element of values. */
function unpack(name, floats, codes) {
  const n = floats.reduce((a, b) => a + b, 0), bytes = inflate(bytesOf(id(name).textContent), 4 * n + codes);
  const view = new DataView(bytes.buffer), out = [];
  let at = 0;
  for (const count of floats) {
    const v = new Float32Array(count);
    for (let i = 0; i < count; i++, at += 4) v[i] = view.getFloat32(at, true);
    out.push(v);
  }
  out.push(bytes.subarray(at));
  return out;
}

/* ---- geometry and rows, in the order of base/coded.h */

for (const b of blocks) {
  b.name = b.level + "." + b.block;
  b.windows = [];
  let row = 0, code = 0;
  for (let n = 0; n < b.down * b.across; n++) {
    const top = Math.floor(n / b.across) * b.window, left = n % b.across * b.window;
    const rows = Math.min(b.window, b.h - top), columns = Math.min(b.window, b.w - left);
    const down = Math.ceil(rows / b.group), across = Math.ceil(columns / b.group);
    b.windows.push({ top, left, rows, columns, down, across, row, code });
    row += b.heads * down * across;
    code += b.heads * down * across * rows * columns;
  }
}
const fine = blocks.reduce((a, b) => b.cell < a.cell ? b : a);
const scale = { scan: 4, attention: 4 }; /* the end of a colour bar; it never ends below 4 times even */
for (const b of blocks) {
  const kind = b.scan ? "scan" : "attention";
  scale[kind] = Math.max(scale[kind], b.largest || 0);
}

function valuesOf(b, i) {
  if (!b.values) {
    const floats = [b.rows].concat(b.lost ? [b.rows] : [], b.scan ? [b.rows] : []);
    const parts = unpack("rows-" + i, floats, b.codes);
    b.values = { most: parts[0], lost: b.lost ? parts[1] : null, total: b.scan ? parts[b.lost ? 2 : 1] : null,
                 code: parts[parts.length - 1] };
  }
  return b.values;
}

const cellIn = (g, cell) => ({ y: Math.min(g.h - 1, Math.floor(cell.y * fine.cell / g.cell)),
                               x: Math.min(g.w - 1, Math.floor(cell.x * fine.cell / g.cell)) });

/* What a cell of the finest grid looks at: values on the block's grid, NaN where it cannot look. */
function rowOf(index, head, cell) {
  const b = blocks[index], values = valuesOf(b, index), at = cellIn(b, cell);
  const w = b.windows[Math.floor(at.y / b.window) * b.across + Math.floor(at.x / b.window)];
  const qy = Math.floor((at.y - w.top) / b.group), qx = Math.floor((at.x - w.left) / b.group);
  const v = new Float32Array(b.h * b.w).fill(NaN), cells = w.rows * w.columns, queries = w.down * w.across;
  const y1 = Math.min(w.rows, (qy + 1) * b.group), x1 = Math.min(w.columns, (qx + 1) * b.group);
  const heads = head < 0 ? [...Array(b.heads).keys()] : [head], sum = new Float64Array(cells);
  const last = (y1 - 1) * b.window + x1 - 1; /* the last token of the query: a scan sees none after it */
  let lost = 0, total = 0, bad = false;
  for (const h of heads) {
    const row = w.row + h * queries + qy * w.across + qx, most = values.most[row];
    const from = w.code + (row - w.row) * cells;
    bad = bad || isNaN(most);
    for (let i = 0; i < cells; i++) { const r = values.code[from + i] / 255; sum[i] += most * r * r; }
    lost += values.lost ? values.lost[row] : 0;
    total += values.total ? values.total[row] : 0;
  }
  let best = -1, largest = -1;
  for (let i = 0; i < cells; i++) {
    const y = Math.floor(i / w.columns), x = i % w.columns;
    if (bad || (b.scan && y * b.window + x > last)) continue;
    const value = sum[i] / heads.length, to = (w.top + y) * b.w + w.left + x;
    v[to] = value;
    if (value > largest) { largest = value; best = to; }
  }
  return { h: b.h, w: b.w, cell: b.cell, v, bad, largest, lost: lost / heads.length, total: total / heads.length,
           best: { y: Math.floor(best / b.w), x: best % b.w },
           query: { y: w.top + qy * b.group, x: w.left + qx * b.group, h: y1 - qy * b.group, w: x1 - qx * b.group } };
}

const cells = evidence.h * evidence.w;
const [classMost, classCode] = (() => {
  const [most, code] = unpack("evidence", [classes.length], classes.length * cells);
  return [most, new Int8Array(code.buffer, code.byteOffset, code.length)];
})();
const evidenceAt = (k, i) => k < 0 ? 0 : classMost[k] * classCode[k * cells + i] / 127;

/* Evidence for class number k of the page over class j; j < 0: over the mean of all classes. */
function evidenceOf(k, j) {
  const v = new Float32Array(cells);
  let largest = 0;
  for (let i = 0; i < cells; i++) {
    v[i] = evidenceAt(k, i) - evidenceAt(j, i);
    largest = Math.max(largest, Math.abs(v[i]));
  }
  return { h: evidence.h, w: evidence.w, cell: evidence.cell, v, largest, bad: v.some(isNaN) };
}

/* The maps of another method, which share a scale. */
const maps = facts.maps.map((m, i) => {
  const [most, bytes] = unpack("map-" + i, [1], m.h * m.w), code = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const v = Float32Array.from(code, c => most[0] * c / 127);
  return Object.assign(m, { v, largest: most[0], bad: v.some(isNaN) });
});
const mapScale = Math.max(...maps.map(m => m.largest || 0)) || 1;
const mapLeast = maps.some(m => m.v.some(v => v < 0)) ? -mapScale : 0;

/* ---- words */

const signed = (v, digits) => !isFinite(v) ? "not finite" : (v < 0 ? MINUS : "+") + Math.abs(v).toFixed(digits);
const times = v => !isFinite(v) ? "not finite" : (v >= 9.95 ? v.toFixed(0) : v >= 0.995 ? v.toFixed(1) : v.toFixed(2)) + TIMES;
const percent = v => (100 * v).toFixed(v > 0.0995 ? 0 : 1) + "\u2009%";
const cellName = c => c.y + "," + c.x;
const headName = (b, head) => b.of === 1 ? "" : head < 0 ? "mean of " + b.of + " heads" : "head " + head;
const className = k => classes[k][1];
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function make(kind, parent, className_, text) {
  const element = document.createElement(kind);
  if (className_) element.className = className_;
  if (text !== undefined) element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}

/* ---- colours */

const tables = { inferno: bytesOf(facts.inferno), blueRed: bytesOf(facts.blue_red) };

function pick(out, table, t, alpha) {
  const i = 3 * Math.round(255 * Math.max(0, Math.min(1, t)));
  out[0] = table[i]; out[1] = table[i + 1]; out[2] = table[i + 2]; out[3] = 255 * alpha;
}

/* Multiples of an even spread, as on all pages (viz/draw/colouring.c). Over the picture: clear up to 1, then colour and
 * opacity grow with log2, and 2 looks the same on every page. As cells: log2 around 1, blue below it down to 1/4, and red
 * above. */
const BELOW = 2, DEPTH_BELOW = 0.36, COLOUR_AT_2 = 0.3, OPACITY_AT_2 = 0.6;
function timesColour(hi) {
  const octaves = Math.log2(hi);
  const rise = (e, at2) => e <= 1 ? Math.max(e, 0) * at2 : at2 + (1 - at2) * Math.min((e - 1) / (octaves - 1), 1);
  return (out, v) => {
    const e = Math.log2(v), share = rise(e, COLOUR_AT_2);
    if (state.drawn === "cells")
      pick(out, tables.blueRed, 0.5 + 0.5 * (e < 0 ? -DEPTH_BELOW * Math.min(-e / BELOW, 1) : share), 1);
    else pick(out, tables.inferno, COVER + (1 - COVER) * share, state.opacity * rise(e, OPACITY_AT_2));
  };
}
function signedColour(hi) {
  return (out, v) => {
    const arm = Math.min(1, Math.abs(v) / hi);
    pick(out, tables.blueRed, 0.5 + 0.5 * v / hi, state.drawn === "cells" ? 1 : state.opacity * arm * (2 - arm));
  };
}

/* The least step of 1, 2, 2.5 or 5 times a power of ten that fits into `range` at most four times. */
function stepOf(range) {
  const decade = 10 ** Math.floor(Math.log10(range / 4));
  return [1, 2, 2.5, 5, 10].find(lead => lead * decade * 4 >= range * (1 - 1e-9)) * decade;
}

/* ---- drawing */

const photo = id("photo"), overlay = id("overlay"), stage = id("stage");
const grey = document.createElement("canvas"), scratch = document.createElement("canvas");

/* The picture without its colours, by the canvas itself: nothing reads its pixels. */
function prepareGrey() {
  grey.width = facts.w;
  grey.height = facts.h;
  const c = grey.getContext("2d");
  c.drawImage(photo, 0, 0, facts.w, facts.h);
  c.globalCompositeOperation = "saturation";
  c.fillStyle = "#808080";
  c.fillRect(0, 0, facts.w, facts.h);
}

/* One pixel a cell, in scratch. */
function paintCells(map, colour) {
  scratch.width = map.w;
  scratch.height = map.h;
  const c = scratch.getContext("2d"), image = c.createImageData(map.w, map.h), rgba = [0, 0, 0, 0];
  for (let i = 0; i < map.v.length; i++) {
    if (isNaN(map.v[i])) continue;
    colour(rgba, map.v[i]);
    image.data.set(rgba, 4 * i);
  }
  c.putImageData(image, 0, 0);
}

/* The value at u, v in cells, bilinear between the centres of cells along the colour scale; those without a value do not
 * count. */
function between(map, u, v) {
  const along = map.times ? x => Math.log2(Math.max(x, 2 ** -BELOW)) : x => x;
  const x0 = Math.floor(u), y0 = Math.floor(v), fx = u - x0, fy = v - y0;
  const clampX = x => Math.max(0, Math.min(map.w - 1, x)), clampY = y => Math.max(0, Math.min(map.h - 1, y));
  if (isNaN(map.v[clampY(Math.round(v)) * map.w + clampX(Math.round(u))])) return NaN;
  let sum = 0, weight = 0;
  for (let k = 0; k < 4; k++) {
    const value = map.v[clampY(y0 + (k >> 1)) * map.w + clampX(x0 + (k & 1))];
    if (isNaN(value)) continue;
    const part = (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy);
    sum += part * along(value);
    weight += part;
  }
  return map.times ? 2 ** (sum / weight) : sum / weight;
}

/* Values between the centres of cells, one pixel for each of the picture up to 256 a side, in scratch. */
function paintSmooth(map, colour) {
  const by = Math.min(1, 256 / Math.max(facts.w, facts.h));
  const w = Math.max(1, Math.round(facts.w * by)), h = Math.max(1, Math.round(facts.h * by));
  scratch.width = w;
  scratch.height = h;
  const c = scratch.getContext("2d"), image = c.createImageData(w, h), rgba = [0, 0, 0, 0];
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const value = between(map, (x + 0.5) * facts.w / w / map.cell - 0.5, (y + 0.5) * facts.h / h / map.cell - 0.5);
      if (isNaN(value)) continue;
      colour(rgba, value);
      image.data.set(rgba, 4 * (y * w + x));
    }
  c.putImageData(image, 0, 0);
}

/* Marching squares on the interpolated values between the centres of cells: segments of a line, each between two edges
 * of squares. An edge is shared by two squares at most, so it ends two segments at most. */
function segmentsOf({ v, w, h, each }, level, by) {
  const segments = [];
  for (let y = 0; y + 1 < h; y++)
    for (let x = 0; x + 1 < w; x++) {
      const at = y * w + x, corner = [v[at], v[at + 1], v[at + w + 1], v[at + w]], cross = [];
      if (corner.some(isNaN)) continue;
      for (let k = 0; k < 4; k++) {
        const a = corner[k], b = corner[(k + 1) % 4];
        if ((a >= level) === (b >= level)) continue;
        const t = (level - a) / (b - a), [dx, dy] = [[t, 0], [1, t], [1 - t, 1], [0, 1 - t]][k];
        const edge = [2 * at, 2 * at + 3, 2 * (at + w), 2 * at + 1][k];
        cross.push({ edge, point: [(x + dx) / each * by, (y + dy) / each * by] });
      }
      for (let k = 0; k + 1 < cross.length; k += 2) segments.push({ ends: [cross[k], cross[k + 1]], used: false });
    }
  return segments;
}

/* The segments joined to lines, which can be dashed: a dash begins anew with each line. */
function contour(samples, level, by) {
  const segments = segmentsOf(samples, level, by), path = new Path2D(), at = new Map();
  for (const s of segments)
    for (const end of s.ends) at.set(end.edge, (at.get(end.edge) || []).concat(s));
  const walk = (s, to, points) => { /* from its end number `to` on */
    for (;;) {
      const edge = s.ends[to].edge, next = at.get(edge).find(o => !o.used);
      if (!next) return points;
      next.used = true;
      to = next.ends[0].edge === edge ? 1 : 0;
      points.push(next.ends[to].point);
      s = next;
    }
  };
  for (const s of segments) {
    if (s.used) continue;
    s.used = true;
    const on = walk(s, 1, [s.ends[1].point]), back = walk(s, 0, [s.ends[0].point]);
    back.reverse().concat(on).forEach((p, i) => i ? path.lineTo(...p) : path.moveTo(...p));
  }
  return path;
}

function contours(c, map, levels, by, density) {
  const each = Math.max(1, Math.min(6, Math.floor(168 / Math.max(map.h, map.w))));
  const samples = { each, w: map.w * each + 1, h: map.h * each + 1 };
  samples.v = new Float32Array(samples.w * samples.h);
  for (let i = 0; i < samples.v.length; i++)
    samples.v[i] = between(map, i % samples.w / each - 0.5, Math.floor(i / samples.w) / each - 0.5);
  for (const level of levels) {
    const path = contour(samples, level, by);
    c.setLineDash(level < 0 ? [4 * density, 3 * density] : []);
    for (const [width, ink] of [[2.2, "rgba(0,0,0,0.55)"], [0.9, "rgba(255,255,255,0.95)"]]) {
      c.lineWidth = width * density;
      c.strokeStyle = ink;
      c.stroke(path);
    }
  }
  c.setLineDash([]);
}

/* An outline that stands on any colour, white over black, and stays on the canvas. */
function outline(c, x, y, w, h, width) {
  const edge = 1.2 * width, right = Math.min(x + w, c.canvas.width - edge), below = Math.min(y + h, c.canvas.height - edge);
  x = Math.max(x, edge);
  y = Math.max(y, edge);
  w = right - x;
  h = below - y;
  for (const [by, ink] of [[2.4, "#000"], [1, "#fff"]]) {
    c.lineWidth = width * by;
    c.strokeStyle = ink;
    c.strokeRect(x, y, w, h);
  }
}

/* The map that the view shows, with its colours and scale. */
function viewed() {
  if (state.view.block < 0) {
    const map = Object.assign({}, maps[state.by] || evidenceOf(state.for, state.against));
    map.hi = state.by < 0 ? Math.max(evidenceScale, map.largest) : mapScale;
    map.colour = signedColour(map.hi);
    const step = stepOf(map.hi);
    map.levels = [-4, -3, -2, -1, 1, 2, 3, 4].map(v => v * step).filter(v => Math.abs(v) < map.hi);
    return map;
  }
  const b = blocks[state.view.block], map = rowOf(state.view.block, state.view.head, cell());
  map.hi = scale[b.scan ? "scan" : "attention"];
  map.colour = timesColour(map.hi);
  map.times = true;
  map.levels = [2, 4, 8].filter(v => v < map.hi);
  return map;
}
const evidenceScale = (() => { /* of the classes that the page shows first */
  let m = 0;
  for (let k = 0; k < Math.min(6, classes.length); k++) m = Math.max(m, classMost[k] || 0);
  return m || 1;
})();

function drawStage(map) {
  const density = window.devicePixelRatio || 1, width = Math.max(1, Math.round(stage.clientWidth * density));
  const zoom = width / facts.w, height = Math.round(facts.h * zoom), c = overlay.getContext("2d");
  if (overlay.width !== width || overlay.height !== height) { overlay.width = width; overlay.height = height; }
  c.imageSmoothingEnabled = true;
  c.drawImage(state.drawn === "photo" ? photo : grey, 0, 0, width, height);
  if (state.drawn === "cells") {
    paintCells(map, map.colour);
    c.imageSmoothingEnabled = false;
    c.drawImage(scratch, 0, 0, map.w * map.cell * zoom, map.h * map.cell * zoom);
  } else if (state.drawn === "overlay") {
    paintSmooth(map, map.colour);
    c.drawImage(scratch, 0, 0, width, height);
    if (state.opacity > 0) contours(c, map, map.levels, map.cell * zoom, density);
  }
  const grid = state.view.block < 0 ? null : map.query, at = cell();
  const box = grid ? [grid.x * map.cell, grid.y * map.cell, grid.w * map.cell, grid.h * map.cell]
                   : [at.x * fine.cell, at.y * fine.cell, fine.cell, fine.cell];
  outline(c, ...box.map(v => v * zoom), 1.5 * density);
  if (state.point) {
    const size = blocks[state.point.block].cell * zoom;
    c.setLineDash([3 * density, 3 * density]);
    outline(c, state.point.x * size, state.point.y * size, size, size, 1.5 * density);
    c.setLineDash([]);
  }
}

function drawTile(tile) {
  const b = blocks[tile.block], map = rowOf(tile.block, tile.head, cell()), c = tile.canvas.getContext("2d");
  const by = tile.canvas.width / b.w;
  c.imageSmoothingEnabled = true;
  c.clearRect(0, 0, tile.canvas.width, tile.canvas.height);
  c.drawImage(state.drawn === "photo" ? photo : grey, 0, 0, facts.w / b.cell * by, facts.h / b.cell * by);
  if (state.drawn !== "photo") {
    paintCells(map, timesColour(scale[b.scan ? "scan" : "attention"]));
    c.imageSmoothingEnabled = false;
    c.drawImage(scratch, 0, 0, tile.canvas.width, tile.canvas.height);
  }
  outline(c, map.query.x * by, map.query.y * by, map.query.w * by, map.query.h * by, tile.canvas.width / 84);
  write(tile.most, map.bad ? "not finite" : times(map.largest));
  tile.dirty = false;
}

/* ---- colour bars */

const digitsOf = hi => hi >= 10 ? 0 : Math.min(9, Math.max(1, 1 - Math.floor(Math.log10(hi)))); /* of the ends of a bar */

/* unit: of evidence, from `lo` on; "": multiples of an even spread. */
function drawScale(element, hi, unit, lo) {
  const key = [hi, lo, unit, state.drawn, state.opacity].join();
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.textContent = "";
  const canvas = make("canvas", element), ticks = make("div", element, "ticks");
  canvas.width = 256;
  canvas.height = 1;
  const c = canvas.getContext("2d"), image = c.createImageData(256, 1), rgba = [0, 0, 0, 0];
  const cellsDrawn = state.drawn === "cells", octaves = Math.log2(hi);
  const colour = unit ? signedColour(hi) : timesColour(hi);
  for (let i = 0; i < 256; i++) {
    const t = i / 255;
    colour(rgba, unit ? lo + t * (hi - lo) : 2 ** (cellsDrawn ? t * (octaves + BELOW) - BELOW : t * octaves));
    image.data.set(rgba, 4 * i);
  }
  c.putImageData(image, 0, 0);
  const least = lo < 0 ? signed(lo, digitsOf(hi)) : "0";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", unit ? "colours from " + least + " to " + signed(hi, digitsOf(hi)) + " " + unit
                                         : "colours up to " + times(hi) + " an even spread");
  const tick = (t, text) => { make("span", ticks, "", text).style.left = 100 * t + "%"; };
  if (unit) {
    tick(0, least);
    if (lo < 0) tick(0.5, "0");
    tick(1, signed(hi, digitsOf(hi)));
    make("div", element, "unit", unit); /* below: beside a number it would cover the zero of a narrow page */
    return;
  }
  const low = cellsDrawn ? -BELOW : 0, place = e => (e - low) / (octaves - low);
  tick(0, cellsDrawn ? "\u2264\u20091/" + 2 ** BELOW + TIMES : "1" + TIMES + ", even");
  if (cellsDrawn) tick(place(0), "even");
  for (let e = 1; e < octaves; e++)
    if (place(e) > (cellsDrawn ? place(0) + 0.14 : 0.3) && place(e) < 0.86 && (octaves < 6 || e % 2 === 1)) tick(place(e), 2 ** e + TIMES);
  tick(1, times(hi));
}

/* ---- state */

const state = { pinned: { y: 0, x: 0 }, hover: null, point: null, view: { block: -1, head: -1 }, for: 0, against: -1, by: -1,
                opacity: 0.65, drawn: "overlay" };
const cell = () => state.hover || state.pinned;
const tiles = [];
let asked = false, spoken = 0;

/* Draws once before the next frame, whatever has changed since the last one. */
function update(all) {
  if (all !== false) for (const t of tiles) t.dirty = true;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const map = viewed();
    drawStage(map);
    describe(map);
    for (const t of tiles) if (t.dirty && t.seen) drawTile(t);
    fillCellTable();
  });
}

/* For a screen reader, when the keys rest. */
function say() {
  clearTimeout(spoken);
  spoken = setTimeout(() => write(id("say"), "Cell " + cellName(cell()) + ". " + id("shown").textContent + ". " +
                                             id("finding").textContent), 250);
}

/* ---- what stands beside the picture */

function describe(map) {
  const b = blocks[state.view.block], at = cellIn(map, cell());
  if (!b && state.by >= 0) {
    write(id("shown"), "Evidence by " + map.method + ": " + map.title);
    write(id("finding"), valueWords(map));
    drawScale(id("scale"), map.hi, map.unit, mapLeast);
  } else if (!b) {
    const over = state.against < 0 ? "the mean of all classes" : className(state.against);
    write(id("shown"), "Evidence for " + className(state.for) + " over " + over);
    write(id("finding"), "Cell " + cellName(at) + " of " + map.h + " " + TIMES + " " + map.w + ": " +
                         signed(map.v[at.y * map.w + at.x], 2) + " logits.");
    drawScale(id("scale"), map.hi, "logits per cell", -map.hi);
  } else {
    const where = map.query.h * map.query.w > 1 ? "the " + map.query.h + " " + TIMES + " " + map.query.w + " cells from " +
                                                  cellName(map.query) : "cell " + cellName(at);
    write(id("shown"), "Level " + b.level + ", block " + b.block + (b.of > 1 ? ", " + headName(b, state.view.head) : "") +
                       ": " + (b.scan ? "hidden attention" : "attention") + " of " + where);
    write(id("finding"), map.bad ? "Its values are not finite."
      : "Looks most at cell " + cellName(map.best) + ", which gets " + times(map.largest) +
        (b.padding ? "; " + percent(map.lost) + " is on padding" : "") +
        (b.scan ? ". Sees only what was scanned before it; the row of |M| sums to " + map.total.toPrecision(3) + "." : "."));
    drawScale(id("scale"), map.hi, "");
  }
  if (state.point) {
    const p = state.point, of = blocks[p.block], v = rowOf(p.block, p.head, cell()).v[p.y * of.w + p.x];
    write(id("finding"), "Block " + of.name + (of.of > 1 ? ", " + headName(of, p.head) : "") + ": cell " + cellName(p) +
                         (isNaN(v) ? " cannot be seen from cell " : " gets " + times(v) + " from cell ") + cellName(cellIn(of, cell())) + ".");
  }
  write(id("proof"), state.by >= 0 ? maps[state.by].proof : proof(b ? evidenceOf(state.for, state.against) : map));
  for (const [name, scan] of [["attention", false], ["mixers", true]]) {
    if (!id(name)) continue; /* the network has none */
    write(id(name).querySelector(".of"), "of cell " + cellName(cell()) + ", against an even spread");
    drawScale(id(name).querySelector(".scale"), scale[scan ? "scan" : "attention"], "");
  }
}

/* The value in the chosen cell of the page. Of several cells of the map in it: their sum where cells add up, as their unit
 * says (src/explain/gradient.c), and else their mean. */
function valueWords(map) {
  const adds = / per pixel$| px cell$/.test(map.unit);
  const from = cellIn(map, cell()), n = Math.max(1, Math.round(fine.cell / map.cell));
  let sum = 0, cells = 0;
  for (let y = from.y; y < Math.min(map.h, from.y + n); y++)
    for (let x = from.x; x < Math.min(map.w, from.x + n); x++, cells++) sum += map.v[y * map.w + x];
  return (n > 1 ? "The " + n + " " + TIMES + " " + n + " cells from " : "Cell ") + cellName(from) + " of " + map.h + " " + TIMES +
         " " + map.w + ": " + signed(adds ? sum : sum / cells, digitsOf(map.hi) + 1) +
         (n === 1 ? "." : adds ? " together." : " on average.");
}

function proof(map) {
  const mean = map.v.reduce((a, v) => a + v, 0) / map.v.length, over = state.against < 0 ? evidence.mean : classes[state.against][2];
  return "The mean of " + map.v.length + " cells " + signed(mean, 2) + " = logit " + signed(classes[state.for][2], 2) + " less " +
         (state.against < 0 ? "the mean " : className(state.against) + "\u2019s ") + signed(over, 2) + ".";
}

function fillCellTable() {
  const table = id("cell-table");
  if (!table.open) return;
  const body = table.querySelector("tbody");
  body.textContent = "";
  blocks.forEach((b, i) => {
    const row = rowOf(i, -1, cell()), line = make("tr", body);
    make("th", line, "", b.name).scope = "row";
    make("td", line, "", b.scan ? "mixer" : "attention");
    make("td", line, "", row.bad ? "not finite" : cellName(row.best));
    make("td", line, "", row.bad ? "not finite" : times(row.largest));
    make("td", line, "", b.padding ? percent(row.lost) : "none");
    make("td", line, "", b.scan ? row.total.toPrecision(3) : "1");
  });
}

/* ---- tiles: one for each map of each block */

function addTile(parent, block, head, text) {
  const b = blocks[block], button = make("button", parent, "tile");
  const canvas = make("canvas", button), label = make("span", button, "label"), by = Math.max(1, Math.round(168 / Math.max(b.h, b.w)));
  canvas.width = b.w * by;
  canvas.height = b.h * by;
  make("b", label, "", text);
  const tile = { block, head, button, canvas, most: make("span", label), dirty: true, seen: !window.IntersectionObserver };
  button.type = "button";
  button.tabIndex = tiles.some(t => blocks[t.block].scan === b.scan) ? -1 : 0;
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", ("level " + b.level + " block " + b.block + " " + headName(b, head)).trim());
  button.addEventListener("click", () => show(block, head));
  canvas.addEventListener("pointermove", event => {
    const box = canvas.getBoundingClientRect();
    const y = Math.floor((event.clientY - box.top) / box.height * b.h), x = Math.floor((event.clientX - box.left) / box.width * b.w);
    if (event.pointerType === "mouse" && y >= 0 && x >= 0 && y < b.h && x < b.w) point({ block, head, y, x });
  });
  canvas.addEventListener("pointerleave", () => point(null));
  button.addEventListener("keydown", event => walk(event, tile));
  tiles.push(tile);
}

/* A cell of a tile that the mouse is on: it is marked on the picture, and its value is said. */
function point(at) {
  if (JSON.stringify(at) === JSON.stringify(state.point)) return;
  state.point = at;
  update(false);
}

/* The arrow keys walk among the tiles of a section, so that it takes one step of the Tab key. */
function walk(event, tile) {
  const all = tiles.filter(t => blocks[t.block].scan === blocks[tile.block].scan), at = all.indexOf(tile);
  const row = step => {
    const there = blocks.map((b, i) => i).filter(i => blocks[i].scan === blocks[tile.block].scan);
    const block = there[there.indexOf(tile.block) + step];
    return block === undefined ? at : all.findIndex(t => t.block === block && t.head === Math.min(tile.head, blocks[block].heads - 1));
  };
  const to = { ArrowLeft: () => at - 1, ArrowRight: () => at + 1, ArrowUp: () => row(-1), ArrowDown: () => row(1),
               Home: () => 0, End: () => all.length - 1 }[event.key];
  if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
  const next = all[Math.max(0, Math.min(all.length - 1, to()))];
  event.preventDefault();
  if (!next) return;
  for (const t of all) t.button.tabIndex = t === next ? 0 : -1;
  next.button.focus();
}

function buildSection(name, scan) {
  const section = id(name), list = section.querySelector(".blocks");
  const mine = blocks.map((b, i) => i).filter(i => blocks[i].scan === scan);
  if (!mine.length) { section.remove(); return; }
  let gallery = null;
  for (const i of mine) {
    const b = blocks[i];
    if (b.heads === 1) { /* one map alone takes no line of its own */
      gallery = gallery || make("div", list, "gallery");
      addTile(gallery, i, -1, "block " + b.name);
      continue;
    }
    gallery = null;
    const line = make("div", list, "block"), about = make("div", line, "about"), row = make("div", line, "tiles");
    make("b", about, "", "Block " + b.name);
    make("br", about);
    about.append(" each row: entropy " + (b.entropy === null ? "not finite" : b.entropy.toFixed(2)));
    make("br", about);
    about.append(" each row: reach " + (b.reach === null ? "not finite" : b.reach.toFixed(0)) + " px");
    addTile(row, i, -1, "mean");
    for (let h = 0; h < b.heads; h++) addTile(row, i, h, String(h));
  }
  write(section.querySelector(".notice"), notice(mine));
}

/* What was left out so that the page stays small, and the windows. */
function notice(mine) {
  const words = [], some = (test, text) => {
    const found = [...new Set(mine.filter(i => test(blocks[i])).map(i => blocks[i].level))];
    if (found.length) words.push(found.map(l => "Level " + l).join(" and ") + ": " + text + ".");
  };
  some(b => b.heads < b.of, "only the mean of the heads is on this page, to keep it small");
  for (const g of [2, 4, 8, 16, 32, 64])
    some(b => b.group === g, g + " " + TIMES + " " + g + " neighbouring cells share a row, their mean, to keep the page small");
  for (const i of mine) {
    const b = blocks[i];
    if (b.down * b.across > 1 && !words.some(w => w.startsWith("Level " + b.level + " has")))
      words.push("Level " + b.level + " has " + b.down + " " + TIMES + " " + b.across + " windows, " + percent(b.padding) +
                 " padding; a cell sees its own window.");
  }
  return words.join(" ");
}

/* ---- choices */

function show(block, head) {
  state.view = { block, head };
  for (const t of tiles) t.button.setAttribute("aria-pressed", String(t.block === block && t.head === head));
  update(false);
  say();
}

function chooseClass(k, against) {
  state.for = k;
  state.against = against === k ? -1 : against;
  state.by = -1;
  id("method").value = -1;
  id("class").value = k;
  id("against").value = state.against;
  for (const row of document.querySelectorAll("#answers tbody tr"))
    row.setAttribute("aria-current", String(+row.dataset.class === k));
  show(-1, -1);
}

function chooseMap(i) {
  chooseClass(state.for, state.against);
  state.by = i;
  id("method").value = i;
  show(-1, -1);
}

function buildMethods() {
  const select = id("method"), option = (value, text) => { make("option", select, "", text).value = value; };
  if (!maps.length) id("methods").style.display = "none";
  maps.forEach((m, i) => option(i, m.method + ": " + m.title));
  option(-1, "exact CAM: any class");
  select.addEventListener("change", () => chooseMap(+select.value));
}

function buildAnswers() {
  const select = id("class"), against = id("against"), option = (to, value, text) => { make("option", to, "", text).value = value; };
  option(against, -1, "the mean of all classes");
  classes.forEach((c, k) => {
    const text = c[1] + (c[3] >= 0.0005 ? "  " + (100 * c[3]).toFixed(1) + "\u2009%" : "");
    option(select, k, text);
    option(against, k, text);
  });
  select.addEventListener("change", () => chooseClass(+select.value, state.against));
  against.addEventListener("change", () => chooseClass(state.for, +against.value));
  for (const row of document.querySelectorAll("#answers tbody tr")) {
    const head = row.querySelector("th"), button = make("button", null, "", head.textContent);
    button.type = "button";
    button.title = "Show its evidence";
    button.addEventListener("click", () => chooseClass(+row.dataset.class, state.against));
    head.replaceChildren(button);
  }
  if (facts.total > classes.length)
    write(id("left-out"), "The " + classes.length + " classes of largest logits, of " + facts.total + ": the others are left out to keep the page small.");
}

/* ---- pointer and keys */

function cellAt(event) {
  const box = stage.getBoundingClientRect();
  const at = (v, most) => Math.max(0, Math.min(most - 1, Math.floor(v / fine.cell)));
  return { y: at((event.clientY - box.top) / box.height * facts.h, fine.h), x: at((event.clientX - box.left) / box.width * facts.w, fine.w) };
}

function hover(to) {
  const old = cell();
  state.hover = to;
  if (old.y !== cell().y || old.x !== cell().x) update();
}

function pin(to) {
  state.pinned = to;
  state.hover = null;
  update();
  say();
}

stage.addEventListener("pointermove", event => {
  if (event.pointerType === "mouse") hover(cellAt(event));
  else if (event.buttons) pin(cellAt(event));
});
stage.addEventListener("pointerleave", () => hover(null));
stage.addEventListener("pointerdown", event => { if (event.button === 0) pin(cellAt(event)); });

stage.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = cell(), v = state.view, move = (dy, dx) => pin({ y: Math.max(0, Math.min(fine.h - 1, at.y + dy)),
                                                             x: Math.max(0, Math.min(fine.w - 1, at.x + dx)) });
  const block = i => show(i, i < 0 ? -1 : Math.min(v.head, blocks[i].heads > 1 ? blocks[i].heads - 1 : -1));
  const head = step => {
    if (v.block >= 0 && blocks[v.block].heads > 1) show(v.block, Math.max(-1, Math.min(blocks[v.block].heads - 1, v.head + step)));
  };
  const keys = { ArrowUp: () => move(-1, 0), ArrowDown: () => move(1, 0), ArrowLeft: () => move(0, -1), ArrowRight: () => move(0, 1),
                 Home: () => move(0, -fine.w), End: () => move(0, fine.w), "+": () => head(1), "=": () => head(1), "-": () => head(-1),
                 PageDown: () => block(Math.min(blocks.length - 1, v.block + 1)), PageUp: () => block(Math.max(-1, v.block - 1)) };
  if (/^[0-9]$/.test(event.key)) { if (+event.key <= blocks.length) block(+event.key - 1); }
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

id("opacity").addEventListener("input", event => {
  state.opacity = event.target.value / 100;
  write(id("opaque"), event.target.value + "\u2009%");
  update();
});
for (const input of document.querySelectorAll("input[name=drawn]"))
  input.addEventListener("change", () => { state.drawn = input.value; id("opacity").disabled = input.value !== "overlay"; update(); });
for (const input of document.querySelectorAll("input[name=theme]"))
  input.addEventListener("change", () => {
    if (input.value) document.documentElement.dataset.theme = input.value;
    else delete document.documentElement.dataset.theme;
  });
id("cell-table").addEventListener("toggle", () => update(false));

/* ---- begin */

function begin() {
  prepareGrey();
  stage.style.setProperty("--ratio", facts.w / facts.h);
  document.documentElement.style.setProperty("--wide", Math.max(0.7, Math.min(1.7, Math.sqrt(facts.w / facts.h))));
  buildSection("attention", false);
  buildSection("mixers", true);
  buildMethods();
  buildAnswers();
  for (const t of tiles) t.seen = t.seen || t.canvas.getBoundingClientRect().top < innerHeight + 200; /* in the first frame */
  if (window.IntersectionObserver) {
    const observer = new IntersectionObserver(entries => {
      for (const entry of entries) tiles.find(t => t.canvas === entry.target).seen = entry.isIntersecting;
      update(false);
    }, { rootMargin: "200px" });
    for (const t of tiles) observer.observe(t.canvas);
  }
  window.addEventListener("beforeprint", () => { for (const t of tiles) if (t.dirty) drawTile(t); });
  if (window.ResizeObserver) new ResizeObserver(() => update(false)).observe(stage);
  else window.addEventListener("resize", () => update(false));
  /* The cell with the most evidence for the answer. */
  const map = maps[0] || evidenceOf(0, -1), best = map.v.indexOf(Math.max(...map.v)), g = map.cell / fine.cell;
  if (best >= 0) state.pinned = { y: Math.min(fine.h - 1, Math.floor((Math.floor(best / map.w) + 0.5) * g)),
                                  x: Math.min(fine.w - 1, Math.floor((best % map.w + 0.5) * g)) };
  chooseClass(0, -1);
  if (maps.length) chooseMap(0);
  clearTimeout(spoken); /* nothing was asked yet */
}

if (photo.complete && photo.naturalWidth) begin();
else photo.addEventListener("load", begin);
})();
