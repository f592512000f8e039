'use strict';
(() => {
  const EVERY = 1000;
  const PATIENCE = 4000;
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const body = document.body;
  const filter = find('#filter');
  const found = find('#found');
  const toggle = find('#refresh');
  const connection = find('#connection');
  const help = find('#help');
  let live = body.dataset.live === 'true';
  let timer;
  let lastAnswer = new Date();

  // What a person chose survives a reload of this tab.
  const saved = (() => {
    try {
      return JSON.parse(sessionStorage.getItem('haflux')) || {};
    } catch {
      return {};
    }
  })();
  const orders = new Map(Object.entries(saved.orders || {}));
  filter.value = saved.filter || '';
  const save = () => {
    try {
      sessionStorage.setItem('haflux', JSON.stringify({ filter: filter.value, orders: Object.fromEntries(orders) }));
    } catch {
      // A browser that stores nothing forgets it.
    }
  };

  // Makes `have` like `want` and leaves alone what is alike already.
  const keyOf = (node) => (node.nodeType === 1 ? node.dataset.key || node.id : '');
  const OURS = new Set(['hidden', 'aria-sort', 'open']);
  const morph = (have, want) => {
    if (have.nodeType !== 1) {
      if (have.data !== want.data) have.data = want.data;
      return;
    }
    // Titles of columns do not change; they bear the buttons that sort.
    if (have.localName === 'thead') return;
    for (const { name, value } of [...want.attributes]) {
      if (!OURS.has(name) && have.getAttribute(name) !== value) have.setAttribute(name, value);
    }
    for (const { name } of [...have.attributes]) {
      if (!OURS.has(name) && !want.hasAttribute(name)) have.removeAttribute(name);
    }
    morphChildren(have, want);
  };
  const morphChildren = (have, want) => {
    const keyed = new Map();
    for (const child of have.childNodes) {
      const key = keyOf(child);
      if (key) keyed.set(key, child);
    }
    // The rows of a table stay in the order that a person chose.
    const inPlace = have.localName !== 'tbody';
    const stays = new Set();
    let at = have.firstChild;
    for (const child of [...want.childNodes]) {
      while (at && stays.has(at)) at = at.nextSibling;
      const key = keyOf(child);
      let match = key ? keyed.get(key) : at && !keyOf(at) ? at : null;
      if (match && (match.nodeName !== child.nodeName || stays.has(match))) match = null;
      if (match) {
        if (inPlace && match !== at) have.insertBefore(match, at);
        else if (match === at) at = at.nextSibling;
        morph(match, child);
      } else {
        match = document.importNode(child, true);
        have.insertBefore(match, inPlace ? at : null);
      }
      stays.add(match);
    }
    for (const child of [...have.childNodes]) if (!stays.has(child)) child.remove();
  };

  // Sorting. A column is a number that counts columns of cells, whatever titles span.
  const nameOf = (table) => `${table.closest('section').dataset.key}/${table.dataset.key}`;
  const columns = (table) => {
    const filled = [];
    const leaves = [];
    [...table.tHead.rows].forEach((row, line) => {
      let column = 0;
      for (const title of row.cells) {
        while ((filled[line] || [])[column]) column += 1;
        for (let down = 0; down < title.rowSpan; down += 1) {
          filled[line + down] = filled[line + down] || [];
          for (let right = 0; right < title.colSpan; right += 1) filled[line + down][column + right] = true;
        }
        if (title.scope === 'col') leaves.push([title, column]);
        column += title.colSpan;
      }
    });
    return leaves;
  };
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return '';
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.firstChild ? cell.firstChild.textContent.trim() : '';
    return cell.classList.contains('n') ? Number(text.replaceAll(',', '')) : cell.textContent.trim();
  };
  const sort = (table) => {
    const rows = table.tBodies[0] ? [...table.tBodies[0].rows] : [];
    rows.forEach((row, place) => {
      if (row.place === undefined) row.place = place;
    });
    const [column, way] = orders.get(nameOf(table)) || [null, 0];
    for (const [title, place] of columns(table)) {
      if (place === column && way) title.setAttribute('aria-sort', way > 0 ? 'ascending' : 'descending');
      else title.removeAttribute('aria-sort');
    }
    const compare = (one, other) => {
      const [a, b] = [valueOf(one, column), valueOf(other, column)];
      if (typeof a === 'number') return a - b;
      return a.localeCompare(b, 'en', { numeric: true });
    };
    const sorted = [...rows].sort((one, other) => (way ? way * compare(one, other) : 0) || one.place - other.place);
    if (sorted.every((row, place) => row === rows[place])) return;
    const focused = document.activeElement;
    table.tBodies[0].append(...sorted);
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  };
  const sortable = new WeakSet();
  const makeSortable = (table) => {
    if (!table.tHead || sortable.has(table)) return;
    sortable.add(table);
    for (const [title, column] of columns(table)) {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...title.childNodes);
      title.append(button);
      const group = title.parentElement === table.tHead.rows[1] ? groupOf(table, column) : '';
      button.setAttribute('aria-label', `${group} ${button.textContent}`.trim());
      button.addEventListener('click', () => {
        const [before, way] = orders.get(nameOf(table)) || [null, 0];
        const first = title.classList.contains('n') ? -1 : 1;
        const next = before !== column ? first : way === first ? -first : 0;
        if (next) orders.set(nameOf(table), [column, next]);
        else orders.delete(nameOf(table));
        save();
        sort(table);
      });
    }
  };
  const groupOf = (table, column) => {
    let at = 0;
    for (const title of table.tHead.rows[0].cells) {
      if (column >= at && column < at + title.colSpan) return title.textContent;
      at += title.colSpan;
    }
    return '';
  };

  // The filter: a row is shown if every word is in it or in the title of its part.
  const sift = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    let rows = 0;
    for (const section of all('main > section.card')) {
      const title = find('.title', section).textContent.toLowerCase();
      let here = 0;
      for (const row of all('tbody tr', section)) {
        const text = `${title} ${row.textContent.toLowerCase()}`;
        row.hidden = !words.every((word) => text.includes(word));
        rows += 1;
        here += row.hidden ? 0 : 1;
      }
      section.hidden = here === 0 && words.length > 0;
      shown += here;
    }
    found.value = words.length ? `${shown} of ${rows} rows` : '';
  };

  const arrange = () => {
    for (const table of all('main table')) {
      makeSortable(table);
      sort(table);
    }
    sift();
  };

  // The connection to haflux.
  const clock = (date) => date.toLocaleTimeString('en-GB');
  const say = (state, text) => {
    if (connection.className !== state) connection.className = state;
    if (connection.textContent !== text) connection.textContent = text;
  };
  const lose = (why) => {
    body.classList.add('stale');
    const text = `${why} since ${clock(lastAnswer)}: what stands below is from then.`;
    const headline = find('#headline');
    if (headline.textContent !== text) headline.textContent = text;
    document.title = '(no answer) haflux';
    say('off', 'no answer');
  };
  const renew = async () => {
    let why = 'haflux has not answered';
    try {
      const answer = await fetch(`${body.dataset.uri};inside`, { signal: AbortSignal.timeout(PATIENCE), cache: 'no-store' });
      why = answer.status === 401 ? 'haflux asks for a password; load the page again. No numbers' : `haflux has answered ${answer.status}`;
      const inside = answer.ok ? find('main', new DOMParser().parseFromString(await answer.text(), 'text/html')) : null;
      if (!inside) throw new Error(why);
      lastAnswer = new Date();
      body.classList.remove('stale');
      morph(find('main'), inside);
      document.title = inside.dataset.title;
      arrange();
      say(live ? 'on' : 'rest', live ? 'live' : 'stopped');
    } catch {
      lose(why);
    }
  };
  const turn = async () => {
    clearTimeout(timer);
    if (!live || document.hidden) return;
    await renew();
    clearTimeout(timer);
    if (live && !document.hidden) timer = setTimeout(turn, EVERY);
  };
  const setLive = (on) => {
    live = on;
    toggle.setAttribute('aria-pressed', String(on));
    if (on) {
      say('on', 'live');
      turn();
    } else {
      clearTimeout(timer);
      say('rest', `stopped at ${clock(lastAnswer)}`);
    }
  };

  // Keys.
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || help.open) return;
    if (event.target === filter) {
      if (event.key === 'Escape') {
        filter.value = '';
        save();
        sift();
        filter.blur();
      }
      return;
    }
    if (event.target.closest('input,select,textarea')) return;
    if (event.key === '/') {
      event.preventDefault();
      filter.focus();
      filter.select();
    } else if (event.key === 'r') setLive(!live);
    else if (event.key === '?') help.showModal();
  });
  filter.addEventListener('input', () => {
    save();
    sift();
  });
  find('#tools').addEventListener('submit', (event) => event.preventDefault());
  toggle.addEventListener('click', () => setLive(!live));
  find('#keys').addEventListener('click', () => help.showModal());
  document.addEventListener('visibilitychange', turn);

  find('#tools').hidden = false;
  arrange();
  setLive(live);
})();
