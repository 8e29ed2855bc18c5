// Runs in a pod. Calls the gateway through its Service until SECONDS are over (at least once), and prints how many answers of which status it got.
const { GATEWAY, KEY, SECONDS } = process.env;
const counts = {};
let last = '';
const end = Date.now() + Number(SECONDS) * 1000;
do {
  try {
    const answer = await fetch(`${GATEWAY}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }),
    });
    const text = await answer.text();
    counts[answer.status] = (counts[answer.status] ?? 0) + 1;
    last = answer.status === 200 ? JSON.parse(text).choices[0].message.content : text;
  } catch (error) {
    const code = error.cause?.code ?? error.name;
    counts[code] = (counts[code] ?? 0) + 1;
    last = String(error.cause ?? error);
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
} while (Date.now() < end);
process.stdout.write(`${JSON.stringify({ counts, last })}\n`);
