// A k6 user that listens: one virtual user, one WebSocket; each message parsed and its latency kept.
const { Trend } = require('k6/metrics');

const { WebSocket } = websockets();
const texts = JSON.parse(__ENV.TEXTS);
const latency = new Trend('fan_out_latency', true);

// The module left its experimental stage in later versions.
function websockets() {
  try {
    return require('k6/websockets');
  } catch {
    return require('k6/experimental/websockets');
  }
}

exports.options = {
  scenarios: {
    listeners: {
      executor: 'per-vu-iterations',
      vus: Number(__ENV.CONNECTIONS),
      iterations: 1,
      maxDuration: '30m',
    },
  },
};

exports.default = () => {
  const socket = new WebSocket(__ENV.URL, __ENV.SUBPROTOCOLS.split(', '));
  socket.onopen = () => texts.forEach((text) => socket.send(text));
  socket.onmessage = (message) => {
    const body = JSON.parse(message.data);
    if (body.type === 'data') {
      latency.add(Date.now() - JSON.parse(body.event).i / 1e6);
    }
  };
};
