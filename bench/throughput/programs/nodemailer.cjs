// nodemailer with a pool of 10 connections: no queue, no record. `nodemailer.cjs N`, as measure.Held asks.
const nodemailer = require("nodemailer");
const lines = require("readline").createInterface({ input: process.stdin });
const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(process.env.PEER_SMTP),
  pool: true,
  maxConnections: 10,
  maxMessages: Infinity,
  ignoreTLS: true,
});

async function send({ from, subject, text, html }) {
  const sends = [];
  for (let n = 0; n < Number(process.argv[2]); n++) {
    sends.push(transport.sendMail({ from, to: `u${n}@example.com`, subject, text, html }));
  }
  await Promise.all(sends);
  console.log("{}");
  transport.close();
}

lines.once("line", (given) => {
  lines.once("line", () => {
    lines.close();
    process.stdin.destroy();
    send(JSON.parse(given));
  });
  console.log("ready");
});
