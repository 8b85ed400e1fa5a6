// nodemailer with a pool of 10 connections: no queue, no record. `nodemailer.cjs N`, the email as JSON on stdin.
const nodemailer = require("nodemailer");
const email = JSON.parse(require("fs").readFileSync(0, "utf8"));
const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(process.env.PEER_SMTP),
  pool: true,
  maxConnections: 10,
  maxMessages: Infinity,
  ignoreTLS: true,
});
const sends = [];
for (let n = 0; n < Number(process.argv[2]); n++) {
  const { from, subject, text, html } = email;
  sends.push(transport.sendMail({ from, to: `u${n}@example.com`, subject, text, html }));
}
Promise.all(sends).then(() => transport.close());
