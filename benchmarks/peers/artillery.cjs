// Hooks of artillery.yml. Artillery's WebSocket engine measures nothing per message by itself.
'use strict';

const texts = JSON.parse(process.env.TEXTS);

exports.connect = (parameters, context, done) => {
  parameters.target = process.env.URL;
  parameters.subprotocols = process.env.SUBPROTOCOLS.split(', ');
  done();
};

exports.listen = (context, events, done) => {
  context.ws.on('message', (data) => {
    const body = JSON.parse(data);
    if (body.type === 'data') {
      events.emit('histogram', 'fan_out_latency', Date.now() - JSON.parse(body.event).i / 1e6);
    }
  });
  texts.forEach((text) => context.ws.send(text));
  done();
};
