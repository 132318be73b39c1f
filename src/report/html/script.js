'use strict';
// What the page draws is placed in time by `data-a` and `data-b` (seconds after +0): zooming and
// panning move these. Only the strips of probes are drawn anew, from the level that fits.
const LETTER = 6.1;
const tip = document.querySelector('.tip');
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
const signed = (value, digits) => (value < 0 ? '' : '+') + value.toFixed(digits);

function length(us) {
  return us < 1000 ? `${us}µs` : us < 1e6 ? `${(us / 1000).toPrecision(3)}ms` : `${(us / 1e6).toFixed(2)}s`;
}

class Timeline {
  constructor(section) {
    this.section = section;
    this.data = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    this.lanes = section.querySelector('.lanes');
    this.plots = [...section.querySelectorAll('.plot')];
    this.strips = [...section.querySelectorAll('g.strip')];
    this.cursor = section.querySelector('.cursor');
    this.panel = section.querySelector('.moment');
    [this.from, this.to] = this.data.shown;
    this.marked = null;
    for (const title of section.querySelectorAll('.plot title')) {
      title.parentNode.setAttribute('aria-label', title.textContent);
      title.remove();
    }
    this.listen();
  }

  x(at) { return (at - this.from) / (this.to - this.from) * this.width; }
  time(x) { return this.from + x / this.width * (this.to - this.from); }

  show(from, to) {
    const [first, last] = this.data.all;
    const least = Math.max((last - first) / 1e5, 0.01);
    const span = clamp(to - from, least, last - first);
    const middle = (from + to) / 2;
    this.from = clamp(middle - span / 2, first, last - span);
    this.to = this.from + span;
    this.draw();
  }

  zoom(by, at = (this.from + this.to) / 2) {
    this.show(at - (at - this.from) * by, at + (this.to - at) * by);
  }

  pan(part) {
    const by = (this.to - this.from) * part;
    this.show(this.from + by, this.to + by);
  }

  draw(width = this.plots[0].clientWidth) {
    if (width < 50) return;
    this.width = width;
    for (const plot of this.plots) {
      const height = plot.viewBox.baseVal.height;
      plot.setAttribute('viewBox', `0 0 ${width} ${height}`);
      for (const item of plot.querySelectorAll('[data-a]')) this.place(item);
      if (plot.classList.contains('axis')) this.axis(plot);
      if (plot.classList.contains('moments')) this.flags(plot);
      for (const ticks of plot.querySelectorAll('.ticks')) this.ticks(ticks);
    }
    this.strips.forEach((strip, index) => this.strip(strip, this.data.strips[index]));
    this.moveCursor();
  }

  place(item) {
    const x = this.x(Number(item.dataset.a));
    if (item.tagName === 'g') {
      item.setAttribute('transform', `translate(${x.toFixed(1)} 0)`);
      return;
    }
    const span = Math.max(this.x(Number(item.dataset.b)) - x, 2);
    item.setAttribute('x', x.toFixed(1));
    item.setAttribute('width', span.toFixed(1));
    const text = item.querySelector('text');
    if (!text) return;
    if (item.classList.contains('predicted')) {
      const before = x + span + text.textContent.length * LETTER > this.width;
      text.setAttribute('x', before ? '0' : '100%');
      text.setAttribute('dx', before ? '-4' : '4');
      text.setAttribute('text-anchor', before ? 'end' : 'start');
    } else {
      text.setAttribute('x', (4 - Math.min(x, 0)).toFixed(1));
    }
  }

  ticks(path) {
    const y = path.dataset.y;
    const seen = path.dataset.ticks.split(' ').map(Number).filter(at => at >= this.from && at <= this.to);
    path.setAttribute('d', seen.map(at => `M${this.x(at).toFixed(1)} ${y}v6`).join(''));
  }

  axis(plot) {
    const least = (this.to - this.from) / (this.width / 90);
    const power = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map(digit => digit * power).find(one => one >= least * 0.999);
    const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
    plot.replaceChildren();
    for (let tick = Math.ceil(this.from / step); tick * step <= this.to; tick++) {
      const x = this.x(tick * step);
      const group = svg(plot, 'g', { class: 'tick', transform: `translate(${x.toFixed(1)} 0)` });
      const anchor = x < 16 ? 'start' : x > this.width - 16 ? 'end' : 'middle';
      svg(group, 'line', { y1: 15, y2: 20 });
      svg(group, 'text', { y: 12, 'text-anchor': anchor }).textContent = tick ? `${signed(tick * step, digits)}s` : '+0';
    }
  }

  // Flags stand in as many rows as they need, as the page itself draws them.
  flags(plot) {
    const ends = [];
    const flags = [...plot.querySelectorAll('.flag')];
    const placed = flags.map(flag => {
      const x = this.x(Number(flag.dataset.a));
      const width = Number(flag.dataset.width);
      const seen = x >= -1 && x <= this.width + 1;
      flag.toggleAttribute('hidden', !seen);
      flag.setAttribute('visibility', seen ? 'visible' : 'hidden');
      if (!seen) return 0;
      const left = x + width > this.width;
      const from = left ? x - width : x;
      let row = ends.findIndex(end => end <= from);
      if (row < 0) row = ends.length;
      ends[row] = from + width;
      const text = flag.querySelector('text');
      text.setAttribute('x', left ? -6 : 6);
      text.setAttribute('text-anchor', left ? 'end' : 'start');
      return row;
    });
    const height = Math.max(ends.length, 1) * 15 + 8;
    flags.forEach((flag, index) => {
      const y = placed[index] * 15 + 2;
      flag.querySelector('line').setAttribute('y1', y);
      flag.querySelector('line').setAttribute('y2', height);
      flag.querySelector('circle').setAttribute('cy', y + 6);
      flag.querySelector('text').setAttribute('y', y + 10);
    });
    for (const bracket of plot.querySelectorAll('.bracket')) bracket.setAttribute('y', height - 7);
    for (const line of plot.querySelectorAll('.guide line')) line.setAttribute('y2', height + 80);
    plot.setAttribute('viewBox', `0 0 ${this.width} ${height}`);
  }

  // The finest level with no more than one bucket for a pixel.
  level(strip) {
    const fits = level => (this.to - this.from) / level.step <= this.width;
    return strip.levels.findLast(fits) || strip.levels[0];
  }

  buckets(level) {
    const index = at => Math.floor((at - level.from) / level.step);
    const first = clamp(index(this.from), 0, level.n.length);
    return [first, clamp(index(this.to) + 1, first, level.n.length)];
  }

  strip(group, strip) {
    const level = this.level(strip);
    if (!level) return;
    const [first, last] = this.buckets(level);
    const { share, height, latency, latencyHeight, low, high } = group.dataset;
    const bottom = Number(share) + Number(height);
    const x = index => this.x(level.from + index * level.step);
    const wide = Math.max(level.step / (this.to - this.from) * this.width, 1).toFixed(1);
    const y = us => {
      const part = (Math.log10(Math.max(us, 1)) - low) / (high - low);
      return (Number(latency) + latencyHeight * (1 - clamp(part, 0, 1))).toFixed(1);
    };
    let [asked, p50, max] = ['', '', ''];
    for (let index = first; index < last; index++) {
      if (!level.n[index]) continue;
      const left = x(index);
      asked += `M${left.toFixed(1)} ${bottom}h${wide}`;
      if (!level.max[index]) continue;
      p50 += `M${left.toFixed(1)} ${y(level.p50[index])}h${wide}`;
      max += `M${(left + wide / 2).toFixed(1)} ${y(level.p50[index])}V${y(level.max[index])}`;
    }
    const below = new Map();
    const bars = ['', '', '', '', '', ''];
    const seen = [[], [], [], [], [], []];
    for (let at = 0; at < level.f.length; at += 3) {
      const [index, family, count] = level.f.slice(at, at + 3);
      if (index < first || index >= last) continue;
      const part = count / level.n[index] * height;
      const base = below.get(index) || 0;
      below.set(index, base + part);
      const tall = Math.max(part, 2).toFixed(1);
      bars[family] += `M${x(index).toFixed(1)} ${(bottom - base).toFixed(1)}v-${tall}h${wide}v${tall}z`;
      seen[family].push(x(index) + wide / 2);
    }
    group.querySelector('.asked').setAttribute('d', asked);
    group.querySelector('.p50').setAttribute('d', p50);
    group.querySelector('.max').setAttribute('d', max);
    for (const path of group.querySelectorAll('[data-family]')) {
      const { family, glyph, y } = path.dataset;
      path.setAttribute('d', glyph ? glyphs(seen[family], glyph, y) : bars[family]);
    }
  }

  // What a strip says of a moment.
  numbers(strip, at) {
    const level = this.level(strip);
    const index = level ? Math.floor((at - level.from) / level.step) : -1;
    if (!level || !level.n[index]) return 'no attempts';
    const from = level.from + index * level.step;
    const kinds = [strip.canary ? 'not done in time' : 'timeout', 'refused', 'reset', 'bad status', 'name not found', 'other'];
    let [failed, why] = [0, []];
    for (let one = 0; one < level.f.length; one += 3) {
      if (level.f[one] !== index) continue;
      failed += level.f[one + 2];
      why.push(`${kinds[level.f[one + 1]]} ${level.f[one + 2]}`);
    }
    const took = level.max[index] ? `, answered in ${length(level.p50[index])} (median), ${length(level.max[index])} (slowest)` : '';
    const list = why.length ? ` (${why.join(', ')})` : '';
    return `${failed} of ${level.n[index]} failed${list} from ${signed(from, 3)} to ${signed(from + level.step, 3)}s${took}`;
  }

  // All lanes at a moment, for people and screen readers.
  mark(at) {
    const [first, last] = this.data.all;
    this.marked = clamp(at, first, last);
    if (this.marked < this.from || this.marked > this.to) {
      const half = (this.to - this.from) / 2;
      this.show(this.marked - half, this.marked + half);
    }
    const lines = [`At ${signed(this.marked, 3)}s:`];
    for (const lane of this.lanes.querySelectorAll('.lane')) {
      const name = lane.querySelector('b')?.textContent;
      const strip = this.strips.indexOf(lane.querySelector('g.strip'));
      if (strip >= 0) lines.push(`${name}: ${this.numbers(this.data.strips[strip], this.marked)}`);
      for (const item of lane.querySelectorAll('svg.s[data-a]')) {
        if (Number(item.dataset.a) <= this.marked && this.marked < Number(item.dataset.b)) lines.push(item.getAttribute('aria-label'));
      }
    }
    this.panel.textContent = lines.join('\n');
    this.panel.hidden = false;
    const near = (this.to - this.from) / 400;
    for (const link of this.section.querySelectorAll('a[data-t]')) {
      link.closest('tr').classList.toggle('near', Math.abs(link.dataset.t - this.marked) <= near);
    }
    this.moveCursor();
  }

  moveCursor(at = this.marked) {
    const seen = at !== null && at >= this.from && at <= this.to;
    this.cursor.hidden = !seen;
    if (!seen) return;
    const left = this.plots[0].getBoundingClientRect().left - this.lanes.getBoundingClientRect().left;
    this.cursor.style.left = `${left + this.x(at)}px`;
  }

  link(at) {
    history.replaceState(null, '', timelines.length > 1 ? `#run=${this.data.run}&t=${at.toFixed(3)}` : `#t=${at.toFixed(3)}`);
    this.mark(at);
  }

  do(what) {
    const todo = {
      in: () => this.zoom(0.5), out: () => this.zoom(2),
      left: () => this.pan(-0.25), right: () => this.pan(0.25),
      all: () => this.show(...this.data.all), shown: () => this.show(...this.data.shown),
    };
    todo[what]();
  }

  listen() {
    const { lanes } = this;
    for (const button of this.section.querySelectorAll('[data-do]')) {
      button.addEventListener('click', () => this.do(button.dataset.do));
    }
    const pixel = event => event.clientX - this.plots[0].getBoundingClientRect().left;
    lanes.addEventListener('wheel', event => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.time(pixel(event)));
    }, { passive: false });
    let drag = null;
    lanes.addEventListener('pointerdown', event => {
      if (event.target.closest('.plot')) drag = { x: event.clientX, from: this.from, to: this.to, moved: false };
    });
    window.addEventListener('pointermove', event => {
      if (!drag) return;
      const by = event.clientX - drag.x;
      if (Math.abs(by) > 3) drag.moved = true;
      const seconds = by / this.width * (drag.to - drag.from);
      if (drag.moved) this.show(drag.from - seconds, drag.to - seconds);
    });
    window.addEventListener('pointerup', event => {
      if (drag && !drag.moved && event.target.closest('.plot')) this.link(this.time(pixel(event)));
      drag = null;
    });
    lanes.addEventListener('dblclick', event => this.zoom(0.5, this.time(pixel(event))));
    lanes.addEventListener('pointermove', event => this.hover(event, this.time(pixel(event))));
    lanes.addEventListener('pointerleave', () => { tip.hidden = true; this.moveCursor(); });
    lanes.addEventListener('focusin', event => {
      const box = event.target.getBoundingClientRect();
      say(event.target.getAttribute('aria-label'), clamp(box.left, 8, innerWidth), box.bottom, event.target !== lanes);
    });
    lanes.addEventListener('focusout', () => { tip.hidden = true; });
    lanes.addEventListener('keydown', event => this.key(event));
  }

  hover(event, at) {
    const plot = event.target.closest('.plot');
    if (!plot || at < this.from || at > this.to) return;
    this.moveCursor(at);
    const item = event.target.closest('[aria-label]:not(.lanes)');
    const strip = this.strips.indexOf(plot.querySelector('g.strip'));
    const lines = [signed(at, 3) + 's'];
    if (strip >= 0) lines.push(this.numbers(this.data.strips[strip], at));
    if (item && plot.contains(item)) lines.push(item.getAttribute('aria-label'));
    say(lines.join('\n'), event.clientX + 12, event.clientY + 14, true);
  }

  key(event) {
    const step = (this.to - this.from) / 100;
    const keys = {
      '+': () => this.do('in'), '=': () => this.do('in'), '-': () => this.do('out'),
      0: () => this.do('shown'), Home: () => this.do('all'),
      ArrowLeft: () => event.shiftKey ? this.link((this.marked ?? this.from) - step) : this.pan(-0.1),
      ArrowRight: () => event.shiftKey ? this.link((this.marked ?? this.from) + step) : this.pan(0.1),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }
}

function svg(parent, name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return parent.appendChild(element);
}

// Shapes that would lie on each other are one.
function glyphs(places, glyph, y) {
  let [path, free] = ['', -Infinity];
  for (const x of places) {
    if (x < free) continue;
    path += `M${x.toFixed(1)} ${y}${glyph}`;
    free = x + 9;
  }
  return path;
}

function say(text, x, y, wanted) {
  tip.hidden = !wanted || !text;
  if (tip.hidden) return;
  tip.textContent = text;
  tip.style.left = `${clamp(x, 4, Math.max(4, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${clamp(y, 4, Math.max(4, innerHeight - tip.offsetHeight - 8))}px`;
}

// A mark of a study says on focus what its title says under the mouse.
for (const cells of document.querySelectorAll('.cells')) {
  cells.addEventListener('focusin', ({ target }) => {
    const box = target.getBoundingClientRect();
    say(target.querySelector('title')?.textContent, box.left, box.bottom + 6, true);
  });
  cells.addEventListener('focusout', () => { tip.hidden = true; });
}

for (const events of document.querySelectorAll('.events')) {
  const [input, output] = [events.querySelector('input'), events.querySelector('output')];
  const rows = [...events.querySelectorAll('tr')];
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = `${shown} of ${rows.length}`;
  });
}

const sections = [...document.querySelectorAll('.run')].filter(run => run.querySelector('.lanes'));
const timelines = sections.map(section => new Timeline(section));

// `#t=4.2`, or of several runs `#run=ID&t=4.2`.
function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const timeline = wanted.has('run') ? timelines.find(one => one.data.run === wanted.get('run')) : timelines[0];
  if (!timeline || !wanted.has('t') || !Number.isFinite(Number(wanted.get('t')))) return;
  timeline.mark(Number(wanted.get('t')));
  if (wanted.has('run')) timeline.section.scrollIntoView();
}

// A link of a table is one to a moment of its own run.
document.addEventListener('click', event => {
  const link = event.target.closest('a[data-t]');
  const timeline = link && timelines.find(one => one.section.contains(link));
  if (!timeline) return;
  event.preventDefault();
  timeline.link(Number(link.dataset.t));
  timeline.lanes.scrollIntoView({ block: 'nearest' });
});

// A run is drawn for this window when it is first seen; until then, as it came.
const begun = performance.now();
const seen = new IntersectionObserver(entries => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    timelines.find(one => one.section === target).draw();
  }
}, { rootMargin: '400px' });
timelines.forEach(one => timelines.length > 1 ? seen.observe(one.section) : one.draw());
window.addEventListener('resize', () => timelines.filter(one => one.width).forEach(one => one.draw()));
// Wide enough for A4, whatever the window.
window.addEventListener('beforeprint', () => timelines.forEach(one => one.draw(570)));
window.addEventListener('afterprint', () => timelines.forEach(one => one.draw()));
window.addEventListener('hashchange', follow);
follow();
document.documentElement.dataset.drawnMs = Math.round(performance.now() - begun);
