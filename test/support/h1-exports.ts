// What assembly/testing/h1.ts exports, typed: assembly is not TypeScript.

/** An exported constant. */
export interface Global {
  readonly value: number;
}

/** Exports of assembly/testing/h1.ts. */
export interface H1Exports {
  addField(head: number, id: number, name: number, nameBytes: number, value: number, valueBytes: number): number;
  allocate(bytes: number): number;
  becomeTunnelH1(stream: number): void;
  benchReceive(connection: number, ptr: number, end: number, times: number): number;
  benchSend(connection: number, head: number, times: number): number;
  closeAfterResponseH1(connection: number): void;
  connect(role: number): number;
  connectionCount(): number;
  consumeOutput(connection: number, bytes: number): void;
  createPool(): void;
  createStream(connection: number, id: number): number;
  creditH1(stream: number, bytes: number): void;
  disconnect(connection: number): void;
  endH1(connection: number): number;
  event(field: number): number;
  fieldAt(head: number, index: number): number;
  glitchCount(role: number, kind: number): bigint;
  isAuthority(ptr: number, length: number): number;
  isDigitByte(byte: number): number;
  isForbiddenTrailer(id: number): number;
  isGrpcContentType(ptr: number, length: number): number;
  isHexByte(byte: number): number;
  isHostByte(byte: number): number;
  isReusableH1(connection: number): number;
  isSameAuthority(left: number, leftBytes: number, right: number, rightBytes: number, port: number): number;
  isTargetByte(byte: number): number;
  isTokenByte(byte: number): number;
  isValueByte(byte: number): number;
  methodIdOf(ptr: number, length: number): number;
  nameIdOf(ptr: number, length: number): number;
  openH1(connection: number): number;
  outputBytes(connection: number): number;
  outputPtr(connection: number): number;
  phraseLen(status: number): number;
  phrasePtr(status: number): number;
  poolUsedBytes(): number;
  portOf(ptr: number, length: number): number;
  receiveH1(connection: number): number;
  releaseStreamH1(stream: number): void;
  resetH1(stream: number, code: number): void;
  sendableH1(stream: number): number;
  sendDataH1(stream: number, ptr: number, length: number, end: number): void;
  sendEndH1(stream: number): void;
  sendHeadH1(stream: number, head: number, end: number): void;
  sendInformationalH1(stream: number, head: number): void;
  sendTrailersH1(stream: number, head: number): void;
  setInput(ptr: number, end: number): void;
  startHead(head: number, kind: number): void;
  streamCount(): number;
  targetEnd(ptr: number, end: number): number;
  valueEnd(ptr: number, end: number): number;
  wantsCloseH1(connection: number): number;
  readonly answerHead: Global;
  readonly C_FLAGS: Global;
  readonly C_OUT_BYTES: Global;
  readonly C_PARTIAL: Global;
  readonly FIELD_FLAGS: Global;
  readonly FIELD_NAME: Global;
  readonly FIELD_NAME_BYTES: Global;
  readonly FIELD_VALUE: Global;
  readonly FIELD_VALUE_BYTES: Global;
  readonly HEAD_AUTHORITY: Global;
  readonly HEAD_CONTENT_LENGTH: Global;
  readonly HEAD_COUNT: Global;
  readonly HEAD_FLAGS: Global;
  readonly HEAD_METHOD: Global;
  readonly HEAD_METHOD_ID: Global;
  readonly HEAD_PATH: Global;
  readonly HEAD_PROTOCOL: Global;
  readonly HEAD_REASON: Global;
  readonly HEAD_SCHEME: Global;
  readonly HEAD_STATUS: Global;
  readonly HEAD_VERSION: Global;
  readonly readBuffer: Global;
  readonly S_BODY_BYTES: Global;
  readonly S_EXPECTED: Global;
  readonly S_FLAGS: Global;
  readonly scratch: Global;
}
