/** Tags of a load's messages, which they have in turn. */
export function tagsOf({ tags, tagCount }: { tags: string; tagCount: number }): string[] {
  return tagCount > 0 ? Array.from({ length: tagCount }, (_, i) => `tag${i}`) : [tags];
}

/** Whether a consumer with this TAG expression gets messages of the tag [FilterAPI#buildSubscriptionData]. */
export function passesTags(expression: string, tag: string): boolean {
  const wanted = expression
    .split("||")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  return wanted.length === 0 || wanted.includes("*") || wanted.includes(tag);
}
