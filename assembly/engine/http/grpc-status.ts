// The grpc-status of an HTTP status, for callers that understand no other (grpc/grpc doc/http-grpc-status-mapping.md).

/** google.rpc.Code of an HTTP status. */
export function grpcStatusOf(status: u32): u32 {
  switch (status) {
    case 400:
      return 13; // INTERNAL
    case 401:
      return 16; // UNAUTHENTICATED
    case 403:
      return 7; // PERMISSION_DENIED
    case 404:
      return 12; // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return 14; // UNAVAILABLE
    default:
      return 2; // UNKNOWN
  }
}
