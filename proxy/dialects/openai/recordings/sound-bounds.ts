/** What any recording keeps within. */
export interface SoundBounds {
  /** of any sound in any format */
  readonly fewestBytesPerSecond: number;
  readonly mostSeconds: number;
}
