// What goes wrong in the worker: a code that the page's strings explain, and a message in English.

export class AnswerError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}
