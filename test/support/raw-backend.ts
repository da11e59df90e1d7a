// A backend of raw TCP that trusts nobody: it keeps every byte of every connection, and answers as a script says. What
// it was sent is judged by the strict reader of test/support/strict-h1.ts.

import { createServer, type Server, type Socket } from "node:net";
import { readStrictRequests, type StrictMessage } from "./strict-h1.ts";

interface Conversation {
  readonly socket: Socket;
  text: string;
  /** Requests that were answered. */
  answered: number;
  isClosed: boolean;
}

/** What was sent since the last `forget`. */
export interface Received {
  readonly messages: readonly StrictMessage[];
  /** Something that is no HTTP/1.1, with the bytes of its connection. */
  readonly errors: readonly string[];
}

export class RawBackend implements AsyncDisposable {
  /** The answer to a request, in full; a FIN follows where it says so. */
  answer: (message: StrictMessage) => { readonly text: string; readonly ends?: boolean } = () => ({
    text: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
  });
  readonly #server: Server;
  readonly #conversations: Conversation[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket));
  }

  static async start(): Promise<RawBackend> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new RawBackend(server);
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `127.0.0.1:${address.port}`;
  }

  /** Connections that are open. */
  get openCount(): number {
    return this.#conversations.filter(({ isClosed }) => !isClosed).length;
  }

  /** Everything that came, connection by connection. */
  read(): Received {
    const readings = this.#conversations.map(({ text }) => ({ text, ...readStrictRequests(text) }));
    const errors = readings.filter(({ stop }) => stop === "error");
    return {
      messages: readings.flatMap(({ messages }) => messages.filter(({ isComplete }) => isComplete)),
      errors: errors.map(({ text, error }) => `${error}: ${JSON.stringify(text)}`),
    };
  }

  /** Forgets what was said; open connections go on. */
  forget(): void {
    for (const one of this.#conversations) [one.text, one.answered] = ["", 0];
    this.#conversations.splice(0, this.#conversations.length, ...this.#conversations.filter((one) => !one.isClosed));
  }

  #accept(socket: Socket): void {
    const conversation: Conversation = { socket, text: "", answered: 0, isClosed: false };
    this.#conversations.push(conversation);
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      conversation.isClosed = true;
    });
    socket.on("data", (bytes: Buffer) => {
      conversation.text += bytes.toString("latin1");
      const whole = readStrictRequests(conversation.text).messages.filter(({ isComplete }) => isComplete);
      for (const message of whole.slice(conversation.answered)) {
        conversation.answered += 1;
        const { text, ends = false } = this.answer(message);
        if (ends) socket.end(text, "latin1");
        else socket.write(text, "latin1");
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#conversations) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
