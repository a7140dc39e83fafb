"use strict";
// Reads signed bundles, checks them, and shows what they say. Nothing here makes markup out of text:
// nodes are made one by one, and foreign text only ever becomes the text of a node.
(() => {
  const PAYLOAD_TYPE = "application/vnd.in-toto+json";
  const TYPES = {
    "https://agentprov.github.io/plan/v0.1": "plan",
    "https://agentprov.github.io/session/v0.1": "session",
    "https://slsa.dev/provenance/v1": "generation",
    "https://agentprov.github.io/approval/v0.1": "approval",
    "https://agentprov.github.io/rewrite/v0.1": "rewrite",
  };
  const DISAGREE = "records-disagree";
  const ORIGINS = ["model", "command", "human", "agent", "unknown"];
  // What a reader would not see, or what would change the order of what they do see.
  const UNSEEN = new RegExp(
    "[\\u0000-\\u0008\\u000a-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5" +
    "\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0" +
    "\\ufff0-\\uffff\\ue000-\\uf8ff\\ud800-\\udfff\\u{e0000}-\\u{e0fff}\\u{f0000}-\\u{10ffff}]", "gu");
  const data = JSON.parse(document.getElementById("data").textContent);

  const shown = (text) => String(text).replace(UNSEEN,
    (char) => `<U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);
  const short = (digest) => shown(String(digest).slice(0, 12));

  function node(name, attributes = {}, ...children) {
    const svg = ["svg", "g", "rect", "path", "text", "title"].includes(name) && attributes.svg;
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key !== "svg" && value !== undefined) made.setAttribute(key, shown(value));
    }
    for (const child of children.flat()) {
      made.append(child instanceof Node ? child : document.createTextNode(shown(child)));
    }
    return made;
  }
  const drawn = (name, attributes, ...children) => node(name, {...attributes, svg: 1}, ...children);

  // --- bytes and signatures ---------------------------------------------------------------------

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const hex = (bytes) => Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
  const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
  const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const utf8 = new TextEncoder();

  function joined(...parts) {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) { whole.set(part, at); at += part.length; }
    return whole;
  }

  async function isBlob(content, oid) { // whether git names this content so; null where nobody says how
    if (!oid) return null;
    const whole = joined(utf8.encode(`blob ${content.length}\0`), content);
    const digest = await crypto.subtle.digest(oid.length === 40 ? "SHA-1" : "SHA-256", whole);
    return hex(new Uint8Array(digest)) === oid;
  }

  function encoded(type, payload) { // DSSE 1.0.2, pre-authentication encoding
    const name = utf8.encode(type);
    return joined(utf8.encode(`DSSEv1 ${name.length} `), name, utf8.encode(` ${payload.length} `), payload);
  }

  function fixedWidth(der) { // an ECDSA signature as SEQUENCE of two INTEGERs, to r and s of 32 bytes
    let at = 2;
    const whole = new Uint8Array(64);
    if (der[0] !== 0x30 || der[1] !== der.length - 2) throw new Error("not DER");
    for (const place of [0, 32]) {
      const size = der[at + 1];
      const number = der.slice(at + 2, at + 2 + size);
      const bare = number[0] === 0 ? number.slice(1) : number;
      if (der[at] !== 0x02 || number.length !== size || bare.length > 32) throw new Error("not DER");
      whole.set(bare, place + 32 - bare.length);
      at += 2 + size;
    }
    if (at !== der.length) throw new Error("not DER");
    return whole;
  }

  async function keyOf(spki) {
    const edwards = hex(spki.slice(0, 12)) === "302a300506032b6570032100";
    const algorithm = edwards ? {name: "Ed25519"} : {name: "ECDSA", namedCurve: "P-256"};
    const key = await crypto.subtle.importKey("spki", spki, algorithm, false, ["verify"]);
    return (signature, message) => edwards
      ? crypto.subtle.verify("Ed25519", key, signature, message)
      : crypto.subtle.verify({name: "ECDSA", hash: "SHA-256"}, key, fixedWidth(signature), message);
  }

  async function keyring(keys) {
    const ring = new Map();
    for (const entry of keys) {
      const spki = bytesOf(entry.publicKey);
      const hint = base64(await sha256(spki));
      try { ring.set(hint, {...entry, hint, verify: await keyOf(spki)}); }
      catch (error) { ring.set(hint, {...entry, hint, why: `this browser cannot use it: ${error.name}`}); }
    }
    return ring;
  }

  // A record counts if its one signature is good under a key of the ring. Returns what it says.
  async function read(line, ring) {
    const record = {line, problem: null, key: null};
    try {
      const bundle = JSON.parse(line);
      const envelope = bundle.dsseEnvelope;
      const payload = bytesOf(envelope.payload);
      record.sha256 = hex(await sha256(payload));
      record.statement = JSON.parse(new TextDecoder("utf-8", {fatal: true}).decode(payload));
      record.kind = TYPES[record.statement.predicateType] || "other";
      if (envelope.payloadType !== PAYLOAD_TYPE) throw new Error("another payload type");
      if (envelope.signatures.length !== 1) throw new Error("not one signature");
      const hint = bundle.verificationMaterial?.publicKey?.hint;
      if (bundle.verificationMaterial?.certificate) throw new Error("signed with a certificate, which this page does not check");
      const key = ring.get(hint);
      if (!key) throw new Error("signed by a key that is not in the list");
      if (!key.verify) throw new Error(key.why);
      const good = await key.verify(bytesOf(envelope.signatures[0].sig), encoded(envelope.payloadType, payload));
      if (!good) throw new Error("the signature is not good");
      record.key = key;
      record.signature = hex(await sha256(bytesOf(envelope.signatures[0].sig)));
    } catch (error) { record.problem = error.message; }
    return record;
  }

  // --- what the records say ---------------------------------------------------------------------

  const metadata = (record) => record.statement.predicate.runDetails.metadata;
  const dependencies = (record) => record.statement.predicate.buildDefinition.resolvedDependencies;
  const named = (record, name) => dependencies(record).find((item) => item.name === name);

  // A link is not made again here, which takes the old commits; the verdict tells whether it was.
  const replayed = (record) => data.verdict.commits.flatMap((one) => one.rewrites ?? [])
    .some((one) => one.digest.sha256 === record.sha256 && one.replayed);

  class Story {
    constructor(records) {
      this.records = records;
      this.good = records.filter((record) => !record.problem);
      this.by = new Map(this.good.map((record) => [record.sha256, record]));
      this.breaks = [];
      for (const record of this.of("generation")) this.link(record);
      const asked = new Set(data.commits.map((one) => one.commit));
      for (const record of this.of("rewrite").filter((one) => asked.has(one.statement.predicate.commit.gitCommit)))
        for (const one of record.statement.predicate.sources)
          if (!this.by.has(one.statement.sha256) && !data.partial)
            this.breaks.push(`${short(record.sha256)}: ${short(one.statement.sha256)}, which it carries over, is not here, or not good`);
    }

    of(kind) { return this.good.filter((record) => record.kind === kind); }
    get sessions() { return this.of("session").filter((r) => r.statement.predicate.phase !== "close"); }

    link(record) {
      const open = named(record, "session-attestation")?.digest?.sha256;
      record.open = this.by.get(open);
      if (!record.open) this.breaks.push(`${short(record.sha256)}: the opening of its session is not here, or not good`);
      const edge = named(record, "plan-attestation");
      if (edge) {
        record.plan = this.by.get(edge.digest.sha256);
        if (!record.plan) this.breaks.push(`${short(record.sha256)}: its plan is not here, or not good`);
        else if (record.plan.signature !== edge.annotations?.signature?.sha256)
          this.breaks.push(`${short(record.sha256)}: its plan was signed by another signature than it names`);
      }
      record.close = this.of("session").find((one) => one.statement.predicate.phase === "close"
        && one.statement.predicate.open?.sha256 === open);
      for (const item of record.close?.statement.predicate.generations ?? [])
        if (!this.by.has(item.sha256) && !data.partial)
          this.breaks.push(`the close of the session lists ${short(item.sha256)}, which is not here`);
    }

    // What is said of one commit's paths, with the generations behind it: by path.
    // `same` tells whether a content is the one that was signed; null where nothing can be said.
    lines(commit) {
      const found = new Map();
      const add = (change, way, ranges, behind, same) => {
        const known = found.get(change.path) ?? {op: change.op, way, ranges: [], behind: new Set(), same};
        known.ranges.push(...ranges);
        for (const record of behind) known.behind.add(record);
        found.set(change.path, known);
      };
      for (const record of this.of("generation")) {
        if (metadata(record).agentprov_commit.gitCommit !== commit) continue;
        for (const change of metadata(record).agentprov_changes) {
          const signed = record.statement.subject.find((one) => one.name === change.path)?.digest?.sha256;
          add(change, "record", (change.ranges ?? []).map((range) => ({...range, way: "record", record})), [record],
            async (content) => (signed ? hex(await sha256(content)) === signed : null));
        }
      }
      for (const record of this.of("rewrite")) {
        const said = record.statement.predicate;
        if (said.commit.gitCommit !== commit) continue;
        const way = `carried from ${said.pairs.map((pair) => short(pair.old.gitCommit)).join(", ")} (${said.method})`
          + `, ${replayed(record) ? "made again by the author" : "not made again by the author"}`;
        for (const change of said.changes) {
          const numbers = new Set((change.ranges ?? []).map((range) => range.source));
          if (change.source !== undefined) numbers.add(change.source);
          add(change, way, (change.ranges ?? []).map((range) =>
            ({...range, way: "rewrite", record: this.by.get(said.sources[range.source]?.statement.sha256)})),
            [...numbers].flatMap((number) => this.generations(said.sources[number]?.statement.sha256)),
            (content) => isBlob(content, change.gitBlob));
        }
      }
      return found;
    }

    // The generations that a source of a rewrite leads to, through rewrites of rewrites.
    generations(sha256, seen = new Set()) {
      const record = this.by.get(sha256);
      if (!record || seen.has(sha256)) return [];
      seen.add(sha256);
      if (record.kind !== "rewrite") return record.kind === "generation" ? [record] : [];
      return record.statement.predicate.sources.flatMap((one) => this.generations(one.statement.sha256, seen));
    }

    // A range names the id that was served; the generation behind it knows the provider.
    model(range) {
      if (range.model === undefined) return "";
      const names = range.record ? this.models(range.record).map((model) => model.name) : [];
      const fitting = names.filter((name) => name === range.model || name.endsWith(`/${range.model}`));
      return fitting.length === 1 ? fitting[0] : range.model;
    }

    models(record) {
      return dependencies(record).filter((item) => item.name.startsWith("model/")).map((item) => ({
        name: decodeURIComponent(item.uri.replace("pkg:generic/", "")),
        basis: item.annotations?.basis ?? "declared",
      }));
    }
  }

  // --- showing it -------------------------------------------------------------------------------

  const main = document.getElementById("main");
  function section(id, title, ...children) {
    document.getElementById("nav").append(node("a", {href: `#${id}`}, title));
    main.append(node("section", {id}, node("h2", {}, title), ...children));
  }
  const table = (heads, rows) => node("div", {class: "scroll"}, node("table", {},
    node("thead", {}, node("tr", {}, heads.map((head) => node("th", {}, head)))),
    node("tbody", {}, rows.map((row) => node("tr", {}, row.map((cell) => node("td", {}, cell)))))));

  function showVerdict(story) {
    const verdict = data.verdict;
    const good = story.good.length, all = story.records.length;
    document.getElementById("target").textContent = shown(data.target);
    const badge = document.getElementById("verdict");
    badge.textContent = `author's verdict: ${shown(verdict.verdict)} (exit ${Number(verdict.exitCode)})`;
    badge.className = `badge ${verdict.verdict === "pass" ? "good" : "bad"}`;
    const checked = document.getElementById("checked");
    const whole = good === all && all > 0 && !story.breaks.length;
    checked.textContent = `checked in this browser: ${good} of ${all} signatures good`
      + (story.breaks.length ? `, ${story.breaks.length} links broken` : "");
    checked.className = `badge ${whole ? "good" : "bad"}`;
    checked.dataset.state = whole ? "good" : "bad";
    document.getElementById("about").textContent = shown(`Judged as of ${verdict.asOf}, trust from `
      + `${verdict.trust.source}${verdict.policy.source ? `, policy from ${verdict.policy.source}` : ""}.`);
    const findings = verdict.findings;
    section("verdict-section", "Verdict",
      findings.length ? table(["", "code", "about", "what", "way out"], findings.map((item) => [
        node("span", {class: {error: "bad", warning: "warn"}[item.severity] ?? "quiet"}, item.severity),
        node("code", {}, item.code), item.path ?? short(item.commit ?? item.subject), item.message, item.remedy]))
        : node("p", {}, "No finding."),
      ...story.breaks.map((text) => node("p", {class: "bad"}, text)));
  }

  function label(record) {
    const generation = record.statement.predicate.buildDefinition.externalParameters;
    const opened = record.open?.statement.predicate.agent;
    return [generation.agent, opened?.uri ?? opened?.version ?? ""];
  }

  function boxes(story) {
    const columns = {plan: new Map(), session: new Map(), file: new Map(), approval: new Map()};
    const edges = [];
    const put = (column, key, ...lines) => { if (!columns[column].has(key)) columns[column].set(key, lines); };
    for (const commit of data.commits) {
      for (const [path, {behind}] of story.lines(commit.commit)) {
        const file = `${commit.commit}/${path}`;
        put("file", file, path, `in ${short(commit.commit)}`);
        for (const record of behind) {
          const id = metadata(record).invocationId;
          const models = story.models(record).map((model) => `${model.name} (${model.basis})`);
          put("session", id, ...label(record), ...(models.length ? models : ["no model on record"]));
          edges.push([`session:${id}`, `file:${file}`]);
          if (record.plan) {
            put("plan", record.plan.sha256, record.plan.statement.subject[0].name, `signed by ${record.plan.key.person}`);
            edges.push([`plan:${record.plan.sha256}`, `session:${id}`]);
          }
        }
        for (const approval of story.of("approval")) {
          const about = approval.statement.subject[0].digest.gitCommit;
          if (about !== commit.commit && !(commit.approvals ?? []).includes(approval.sha256)) continue;
          put("approval", approval.sha256, approval.statement.predicate.decision, `by ${approval.key.person}`);
          edges.push([`file:${file}`, `approval:${approval.sha256}`]);
        }
      }
    }
    return {columns, edges};
  }

  function showGraph(story) {
    const {columns, edges} = boxes(story);
    const places = new Map();
    const width = 250, gap = 70, most = 24;
    const svg = drawn("svg", {role: "img", "aria-label": "From plan to agent and model, to files, to approval"});
    const front = drawn("g", {});
    let tallest = 0, left = 0;
    for (const [column, title] of [["plan", "Plan"], ["session", "Agent and model"], ["file", "Files"], ["approval", "Approval"]]) {
      front.append(drawn("text", {x: left, y: 14, class: "head"}, title));
      let top = 26;
      const entries = [...columns[column]];
      for (const [key, lines] of entries.slice(0, most)) {
        const texts = lines.filter(Boolean).map((line) => shown(line));
        const height = 14 + texts.length * 16;
        front.append(drawn("rect", {x: left, y: top, width, height, rx: 6, class: "box"}));
        texts.forEach((text, n) => front.append(drawn("text",
          {x: left + 10, y: top + 20 + n * 16, class: n ? "small" : "head"},
          text.length > 38 ? `${text.slice(0, 37)}…` : text, drawn("title", {}, text))));
        places.set(`${column}:${key}`, {left, right: left + width, middle: top + height / 2});
        top += height + 12;
      }
      if (entries.length > most) {
        front.append(drawn("text", {x: left, y: top + 10, class: "small"}, `and ${entries.length - most} more`));
        top += 20;
      }
      if (!entries.length) front.append(drawn("text", {x: left, y: 46, class: "small"}, "none on record"));
      tallest = Math.max(tallest, top, 60);
      left += width + gap;
    }
    const drawnEdges = new Set();
    for (const [from, to] of edges) {
      const a = places.get(from), b = places.get(to);
      if (!a || !b || drawnEdges.has(`${from}\n${to}`)) continue;
      drawnEdges.add(`${from}\n${to}`);
      const bend = (b.left - a.right) / 2;
      svg.append(drawn("path", {class: "edge",
        d: `M${a.right},${a.middle} C${a.right + bend},${a.middle} ${b.left - bend},${b.middle} ${b.left},${b.middle}`}));
    }
    svg.append(front);
    svg.setAttribute("viewBox", `-1 0 ${left - gap + 2} ${tallest}`);
    section("graph", "From plan to approval", node("div", {class: "scroll"}, svg));
  }

  function showTimeline(story) {
    const events = [];
    const at = (time, what) => { if (time) events.push([time, what]); };
    for (const record of story.good) {
      const said = record.statement.predicate;
      if (record.kind === "plan") at(said.declaredAt, `${record.key.person} signed the plan ${record.statement.subject[0].name}`);
      if (record.kind === "approval") 
        at(said.decidedAt, `${record.key.person} decided about ${short(record.statement.subject[0].digest.gitCommit)}: ${said.decision}`);
      if (record.kind === "session") {
        if (said.phase === "close") {
          at(said.session.finishedOn, `session ${said.session.id} ended: ${said.session.outcome}`);
          for (const server of said.mcpServers ?? [])
            for (const call of server.calls ?? []) at(call.on, `MCP server ${server.name}: ${call.tool} (${call.outcome})`);
        } else at(said.session.startedOn, `session ${said.session.id} began: ${said.agent.name}`);
        for (const gap of said.gaps ?? []) at(gap.start, `blind: ${gap.why}${gap.detail ? ` (${gap.detail})` : ""}`);
      }
    }
    for (const commit of data.commits) at(commit.committedAt, `commit ${short(commit.commit)} ${commit.subject} (git's own word)`);
    const stamp = (time) => new Date(time).getTime() || 0;
    events.sort((a, b) => stamp(a[0]) - stamp(b[0]));
    section("timeline", "Timeline", events.length
      ? node("div", {class: "time"}, events.flatMap(([time, what]) => [node("span", {class: "mono quiet"}, time), node("span", {}, what)]))
      : node("p", {}, "Nothing is on record."));
  }

  function bar(counts) {
    const whole = ORIGINS.reduce((sum, origin) => sum + (counts[origin] ?? 0), 0);
    const made = node("div", {class: "bar", role: "img", "aria-label": ORIGINS.filter((o) => counts[o]).map((o) => `${counts[o]} ${o}`).join(", ")});
    for (const origin of ORIGINS) {
      if (!counts[origin]) continue;
      const part = node("span", {class: `o-${origin}`});
      part.style.width = `${100 * counts[origin] / whole}%`;
      made.append(part);
    }
    return made;
  }

  // Whose each of `most` lines is, as `agentprov blame` has it: a record says more than a link, any
  // origin more than unknown, and where two say different things nobody is named.
  function perLine(ranges, most) {
    const at = new Map();
    for (const range of ranges)
      for (let n = range.start; n <= range.end && n <= most; n++) {
        const known = at.get(n);
        if (!known) at.set(n, range);
        else if (range.origin === "unknown" || known.why === DISAGREE) continue;
        else if (known.origin === "unknown") at.set(n, range);
        else if (known.way === range.way && (known.origin !== range.origin || known.model !== range.model))
          at.set(n, {origin: "unknown", basis: known.basis, why: DISAGREE, way: known.way});
      }
    return at;
  }

  function view(lines, at, story) {
    return node("div", {class: "lines mono"}, node("table", {}, node("tbody", {}, lines.map((line, index) => {
      const range = at.get(index + 1);
      const origin = range && ORIGINS.includes(range.origin) ? range.origin : null;
      const who = range ? [range.origin, range.basis, story.model(range)].filter(Boolean).join(" · ") : "";
      return node("tr", range ? {title: [who, range.why].filter(Boolean).join(" — ")} : {},
        node("td", {class: origin ? `mark o-${origin}` : "mark"}), node("td", {class: "n"}, index + 1),
        node("td", {class: "who"}, who), node("td", {}, line));
    }))));
  }

  // Content that was found again needs no statement about this commit; only the verdict tells of it.
  function found(commit) {
    const told = data.verdict.commits.find((one) => one.commit === commit)?.content ?? [];
    const olds = [...new Set(told.map((one) => short(one.commit)))].join(", ");
    return olds ? `No good record names this commit; according to the verdict it holds what was recorded of ${olds}.`
      : "No good record says anything of its lines.";
  }

  async function showFiles(story) {
    const parts = [node("p", {class: "legend quiet"}, "Origin of each added line:",
      ORIGINS.map((origin) => [node("span", {class: `key o-${origin}`}), origin]).flat())];
    for (const commit of data.commits) {
      const lines = story.lines(commit.commit);
      parts.push(node("h3", {}, `${short(commit.commit)}  ${commit.subject}`),
        node("p", {class: "quiet"}, `${commit.author}; coverage according to the verdict: ${commit.coverage}`));
      if (!lines.size) parts.push(node("p", {}, found(commit.commit)));
      for (const [path, {op, ranges, way, same: compare}] of lines) {
        const kept = data.files.find((file) => file.commit === commit.commit && file.path === path);
        const bytes = kept?.content === undefined ? null : bytesOf(kept.content);
        const same = bytes === null ? null : await compare(bytes);
        const text = bytes === null ? [] : new TextDecoder().decode(bytes).split("\n");
        if (text.at(-1) === "") text.pop();
        const at = perLine(ranges, text.length);
        const counts = {};
        const count = (origin, lines) => { counts[origin] = (counts[origin] ?? 0) + lines; };
        if (bytes === null) for (const range of ranges) count(range.origin, range.end - range.start + 1);
        else for (const range of at.values()) count(range.origin, 1);
        const state = same === null ? node("span", {class: "quiet"}, "bytes not in this page")
          : node("span", {class: same ? "good" : "bad"}, same ? "bytes are what was signed" : "bytes differ from what was signed");
        const details = node("details", {class: "file"}, node("summary", {}, node("span", {class: "mono"}, path), "  ",
          node("span", {class: "quiet"}, op), "  ", state, way === "record" ? "" : node("span", {class: "quiet"}, `  ${way}`),
          ranges.length ? bar(counts) : ""));
        if (same === false) story.breaks.push(`${path}: its bytes in this page differ from what was signed`);
        if (bytes !== null) {
          details.addEventListener("toggle", () => {
            if (details.open && details.childElementCount === 1) details.append(view(text, at, story));
          });
        } else if (ranges.length) details.append(table(["lines", "origin", "basis", "model", "why"], ranges.map((range) =>
          [`${range.start}-${range.end}`, range.origin, range.basis, story.model(range), range.why ?? ""])));
        parts.push(details);
      }
    }
    return parts;
  }

  function showRecords(story) {
    section("records", "Records", table(["kind", "payload sha256", "signed by", "checked here"],
      story.records.map((record) => [record.kind ?? "unreadable", node("code", {}, record.sha256 ?? "?"),
        record.key?.person ?? "?",
        node("span", {class: record.problem ? "bad" : "good"}, record.problem ?? "signature good")])));
  }

  function showNotProven() {
    section("not-proven", "What this does not prove", table(["claim", "why", "basis"],
      data.verdict.notProven.map((item) => [item.claim, item.why, item.basis])));
  }

  function showKeys(ring) {
    const text = node("textarea", {"aria-label": "trust.yaml", placeholder: "Paste your own copy of trust.yaml here"});
    const button = node("button", {type: "button", id: "recheck"}, "Check with these keys instead");
    button.addEventListener("click", () => {
      const keys = [...text.value.matchAll(/publicKey:\s*["']?([A-Za-z0-9+/=]{40,})/g)].map((match, n) =>
        ({publicKey: match[1], person: `key ${n + 1} of your file`, roles: [], source: "pasted here"}));
      draw(keys.length ? keys : data.keys, keys.length > 0);
    });
    section("keys", "Keys that were used",
      node("p", {}, "They came with this page. If you do not trust its author, compare the fingerprints with what you "
        + "know, or paste your own trust document: every signature is then checked again with its keys alone."),
      table(["person", "roles", "fingerprint (SHA-256 of the public key)", "from"], [...ring.values()].map((key) =>
        [key.person, (key.roles ?? []).join(", "), node("code", {}, key.hint), key.source])),
      text, node("div", {}, button));
  }

  async function draw(keys, theirs) {
    main.replaceChildren();
    document.getElementById("nav").replaceChildren();
    if (!crypto.subtle) {
      main.append(node("p", {class: "bad"}, "This browser checks no signatures here: open the file from disk or over https."));
      return;
    }
    const ring = await keyring(keys);
    const records = [];
    for (const line of data.bundles) records.push(await read(line, ring));
    const story = new Story(records);
    const files = await showFiles(story);
    showVerdict(story);
    showGraph(story);
    showTimeline(story);
    section("files", "Files", ...files);
    showNotProven();
    showRecords(story);
    showKeys(ring);
    document.body.dataset.ready = theirs ? "theirs" : "yes";
  }

  draw(data.keys, false).catch((error) => {
    main.append(node("p", {class: "bad"}, `The records in this page could not be read: ${error.message}`));
    document.body.dataset.ready = "failed";
  });
})();
