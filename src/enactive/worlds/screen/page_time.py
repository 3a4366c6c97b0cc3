"""Time inside a page: it stands still, except while a world lets it pass.

Pages measure time, wait and animate. Under the machine's clock none of that happens twice in the
same way, so every document begins with this script. It replaces ``Date``, timers, animation frames
and ``performance.now`` by ones that read a counter, which only ``__enactive.advance`` moves, and it
seeds ``Math.random``. What is not JavaScript (video, CSS animations) is not controlled; the browser
switches animations off.
"""

from __future__ import annotations

FRAME_MS = 16
"""Page time between two animation frames, ms."""

MOST_CALLBACKS = 20_000
"""Callbacks that one advance may run; a page that asks for more is refused."""

SCRIPT = """
(() => {
  if (globalThis.__enactive) return;
  const epoch = %(epoch)d, frame = %(frame)d, most = %(most)d;
  const RealDate = Date, realFrame = globalThis.requestAnimationFrame.bind(globalThis);
  const realTimeout = globalThis.setTimeout.bind(globalThis);
  let now = 0, last = 0;
  const timers = new Map();
  const later = (at, every, run) => { timers.set(++last, {at, every, run}); return last; };
  const call = (what, given) =>
    typeof what === 'function' ? () => what(...given) : () => (0, eval)(String(what));
  const ms = wait => Math.max(0, Number(wait) || 0);
  const define = (name, value) => { globalThis[name] = value; };
  define('Date', new Proxy(RealDate, {
    construct: (target, given, made) =>
      Reflect.construct(target, given.length ? given : [epoch + now], made),
    apply: () => new RealDate(epoch + now).toString(),
    get: (target, key) => key === 'now' ? () => epoch + now : Reflect.get(target, key),
  }));
  define('setTimeout', (what, wait, ...given) => later(now + ms(wait), 0, call(what, given)));
  define('setInterval', (what, wait, ...given) => {
    const every = Math.max(1, ms(wait));
    return later(now + every, every, call(what, given));
  });
  define('requestAnimationFrame', what =>
    later((Math.floor(now / frame) + 1) * frame, 0, () => what(now)));
  define('requestIdleCallback', what => later(now + 1, 0, () =>
    what({didTimeout: false, timeRemaining: () => 10})));
  for (const name of ['clearTimeout', 'clearInterval', 'cancelAnimationFrame',
                      'cancelIdleCallback'])
    define(name, id => { timers.delete(id); });
  Performance.prototype.now = () => now;
  let state = %(seed)d >>> 0;
  Math.random = () => {  // mulberry32
    state = (state + 0x6D2B79F5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const due = until => {
    let found = null;
    for (const [id, timer] of timers)
      if (timer.at <= until && (!found || timer.at < found[1].at)) found = [id, timer];
    return found;
  };
  const advance = async span => {
    const until = now + span;
    for (let count = 0, next; (next = due(until)); count++) {
      if (count >= most) throw new Error('the page asked for more than ' + most + ' callbacks');
      const [id, timer] = next;
      now = Math.max(now, timer.at);
      if (timer.every) timer.at += timer.every; else timers.delete(id);
      try { timer.run(); } catch (error) { reportError(error); }
      await null;
    }
    now = until;
  };
  const painted = () => new Promise(done => realFrame(() => realFrame(done)));
  const settle = async () => {
    const loading = [...document.images].filter(image => !image.complete);
    const limit = new Promise(done => realTimeout(done, 2000));
    await Promise.race([limit, Promise.all([document.fonts.ready, ...loading.map(image =>
      new Promise(done => { image.addEventListener('load', done);
                            image.addEventListener('error', done); }))])]);
    await painted();
  };
  Object.defineProperty(globalThis, '__enactive', {value: Object.freeze({advance, settle})});
  const still = document.createElement('style');
  still.textContent = '*, *::before, *::after { animation: none !important; ' +
    'transition: none !important; scroll-behavior: auto !important; ' +
    'caret-color: transparent !important; }';
  const put = () => document.documentElement && document.documentElement.appendChild(still);
  if (!put()) new MutationObserver((_, seen) => { if (put()) seen.disconnect(); })
    .observe(document, {childList: true});
})();
"""


def page_script(epoch_ms: int, seed: int) -> str:
    """The script that every document begins with.

    Args:
        epoch_ms: what the page takes the time of its beginning to be, ms since 1970.
        seed: of ``Math.random``, 32 bits.
    """
    return SCRIPT % {
        "epoch": epoch_ms, "frame": FRAME_MS, "most": MOST_CALLBACKS, "seed": seed % 2**32
    }  # fmt: skip
