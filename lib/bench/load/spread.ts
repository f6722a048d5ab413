/** How many of the numbers below this one are picked when a part of all numbers is: as evenly as can be, by the number alone. */
export function pickedBelow(part: number, number: number): number {
  return Math.floor(number * part);
}

/** Whether a number is among those picked. */
export function isPicked(part: number, number: number): boolean {
  return pickedBelow(part, number + 1) !== pickedBelow(part, number);
}
