// Loaded by node in front of Gemini CLI, for one run: starts configured MCP servers through the
// relay. Whatever fails in here, Gemini CLI goes on as if it had not been loaded.
'use strict';

try {
  const fs = require('node:fs');
  const path = require('node:path');
  const { isMainThread } = require('node:worker_threads');
  const main = process.argv[1] ? fs.realpathSync(process.argv[1]) : '';
  if (isMainThread && /[\\/]@google[\\/]gemini-cli[\\/]/.test(main)) {
    const found = fs.readFileSync(path.join(__dirname, 'gemini-servers.json'), 'utf8');
    stepIn(JSON.parse(found));
  }
} catch {
  // No relay then; what was configured starts as it always did.
}

function stepIn({ option, servers }) {
  const processes = require('node:child_process');
  const spawn = processes.spawn;
  // Nothing that Gemini CLI starts may depend on a file that is gone after the run.
  const rest = (process.env.NODE_OPTIONS ?? '').replace(option, '').trim();
  if (rest) process.env.NODE_OPTIONS = rest;
  else delete process.env.NODE_OPTIONS;

  processes.spawn = function (command, args, options) {
    try {
      if (Array.isArray(args) && options) {
        if (command === process.execPath && args.includes(process.argv[1])) {
          // It starts itself again, with more memory.
          const env = { ...(options.env ?? process.env) };
          env.NODE_OPTIONS = `${env.NODE_OPTIONS ?? ''} ${option}`.trim();
          return spawn.call(this, command, args, { ...options, env });
        }
        const relay = relayOf(servers, command, args, options);
        if (relay) {
          return spawn.call(this, relay[0], [...relay.slice(1), command, ...args], options);
        }
      }
    } catch {
      // As configured, then.
    }
    return spawn.apply(this, arguments);
  };
  require('node:module').syncBuiltinESMExports();
}

function relayOf(servers, command, args, options) {
  const talks = Array.isArray(options.stdio) && options.stdio[0] === 'pipe' && options.stdio[1] === 'pipe';
  if (!talks) return undefined;
  const words = [command, ...args];
  const same = servers.filter(
    (server) =>
      server.command.length === words.length &&
      server.command.every((word, index) => resolved(word) === words[index]),
  );
  // Two names may stand for one command line: each gets its turn.
  const server = same.find((one) => !one.started) ?? same[0];
  if (!server) return undefined;
  server.started = true;
  return server.relay;
}

function resolved(word) {
  return word.replace(/\$(?:(\w+)|{([^}]+?)(?::-([^}]*))?})/g, (all, bare, braced, fallback) => {
    return process.env[bare ?? braced] ?? fallback ?? all;
  });
}
