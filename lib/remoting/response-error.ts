/** A refusal with a response code: thrown below a processor, turned into a response by the server alone; `cause` goes to the log only. */
export class ResponseError extends Error {
  readonly code: number;

  constructor(code: number, remark: string, options?: ErrorOptions) {
    super(remark, options);
    this.name = "ResponseError";
    this.code = code;
  }

  get remark(): string {
    return this.message;
  }
}
