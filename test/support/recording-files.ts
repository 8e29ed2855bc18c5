/** Files of sound as recorders write them: their frames and pages are right, what is heard in them is not. */

/** 16 bits, one channel. */
export function makeWav({ samplesPerSecond, seconds }: { readonly samplesPerSecond: number; readonly seconds: number }): Buffer {
  const head = Buffer.alloc(44);
  const bytes = samplesPerSecond * 2 * seconds;
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(bytes + 36, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(samplesPerSecond, 24);
  head.writeUInt32LE(samplesPerSecond * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(bytes, 40);
  return Buffer.concat([head, Buffer.alloc(bytes)]);
}

const kbitsOfLayer3 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/** MPEG-1 layer III, 44.1 kHz, frames of 1,152 samples behind an ID3 tag. */
export function makeMp3({ kbits, seconds }: { readonly kbits: number; readonly seconds: number }): Buffer {
  const frame = Buffer.alloc(Math.floor((144_000 * kbits) / 44_100));
  frame.writeUInt32BE((0xfffb0000 | (kbitsOfLayer3.indexOf(kbits) << 12)) >>> 0);
  const frames = Math.ceil((seconds * 44_100) / 1152);
  const tag = Buffer.concat([Buffer.from([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 2, 0]), Buffer.alloc(256, 0xff)]);
  return Buffer.concat([tag, ...Array<Buffer>(frames).fill(frame)]);
}

/** Packets of 20 ms (CELT, one frame), fifty to a page. */
export function makeOggOpus({ seconds, bytesPerSecond }: { readonly seconds: number; readonly bytesPerSecond: number }): Buffer {
  const packet = Buffer.alloc(Math.floor(bytesPerSecond / 50), 1);
  packet[0] = 31 << 3;
  const headers = [
    Buffer.from('OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00', 'latin1'),
    Buffer.from('OpusTags\0\0\0\0\0\0\0\0', 'latin1'),
  ];
  const pages = headers.map((header) => makePage([header]));
  for (let second = 0; second < seconds; second += 1) pages.push(makePage(Array<Buffer>(50).fill(packet)));
  return Buffer.concat(pages);
}

/** Without a position and a checksum. */
export function makePage(packets: readonly Buffer[]): Buffer {
  const sizes = packets.flatMap(({ length }) => [...Array<number>(Math.floor(length / 255)).fill(255), length % 255]);
  const head = Buffer.alloc(27);
  head.write('OggS', 0, 'latin1');
  head[26] = sizes.length;
  return Buffer.concat([head, Buffer.from(sizes), ...packets]);
}
