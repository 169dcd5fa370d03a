// What went wrong when an answer was asked for: a code that `strings.js` explains.

export class ServiceError extends Error {
  constructor(code, message, { status = 0, retryAfter = null } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}
