/** A gRPC server that plays a shop in trouble: it refuses streams, loses answers and says what a shop says seldom. */

import { once } from "node:events";
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../src/gen/google/rpc/status_pb.js";
import { LoginResponseSchema } from "../src/gen/mercato/v1/auth_pb.js";
import { frame } from "../src/wire.js";

/** A call as it reached the server. */
export interface Came {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The framed messages. */
  readonly body: Uint8Array;
}

/** What a server does with a call. */
export type Reply = (stream: ServerHttp2Stream) => void;

/** Answer with a message. */
export function say<D extends DescMessage>(schema: D, message: MessageInitShape<D>, headers: Record<string, string> = {}): Reply {
  return (stream) => {
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto", ...headers }, { waitForTrailers: true });
    stream.end(frame([toBinary(schema, create(schema, message))]));
  };
}

/** Answer with an error; with a reason if one is given. */
export function refuse(code: number, reason = "", trailers: Record<string, string> = {}, message = "no"): Reply {
  const info = create(ErrorInfoSchema, { reason, domain: "mercato.internal" });
  const status = create(StatusSchema, { code, message, details: reason ? [anyPack(ErrorInfoSchema, info)] : [] });
  const details = Buffer.from(toBinary(StatusSchema, status)).toString("base64");
  return (stream) =>
    stream.respond(
      {
        ":status": 200,
        "content-type": "application/grpc+proto",
        "grpc-status": String(code),
        "grpc-message": message,
        "grpc-status-details-bin": details,
        ...trailers,
      },
      { endStream: true },
    );
}

/** Give the call back unprocessed. */
export const refuseStream: Reply = (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM);
/** Cut the connection before the answer. */
export const hangUp: Reply = (stream) => stream.session?.destroy();
/** Never answer. */
export const ignore: Reply = () => undefined;

/** The answer to a login or refresh. */
export function tokens(accessToken: string, expiresIn = 600): Reply {
  return say(LoginResponseSchema, { accessToken, refreshToken: `refresh-of-${accessToken}`, expiresIn });
}

/** A running server. */
export class Server {
  readonly calls: Came[] = [];
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #server = createServer();

  /** `answer` gets each call and its number, from 0. */
  constructor(answer: (call: Came, number: number) => Reply) {
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => undefined);
      session.on("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", async (stream, headers) => {
      stream.on("error", () => undefined);
      const pieces: Uint8Array[] = [];
      stream.on("data", (piece: Uint8Array) => pieces.push(piece));
      await once(stream, "end");
      if (headers[":path"] === "/grpc.health.v1.Health/Check") {
        refuse(12)(stream);
        return;
      }
      const call = { path: String(headers[":path"]), headers, body: Uint8Array.from(Buffer.concat(pieces)) };
      this.calls.push(call);
      answer(call, this.calls.length - 1)(stream);
    });
  }

  async start(port = 0): Promise<string> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** End all connections as a server does that restarts: GOAWAY, then close. */
  goAway(): void {
    for (const session of this.#sessions) {
      session.close();
    }
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) {
      session.destroy();
    }
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** The values of a header in all calls. */
  values(name: string): (string | undefined)[] {
    return this.calls.map((call) => call.headers[name] as string | undefined);
  }
}
