// `util` of APPSYNC_JS, without the parts that refuse a request or tell the time.
//
// Its value is a function that makes it. What stands here is named in javascript_source.py
// too: code that uses any other part of `util` is refused when it is loaded.
// Sources: page built-in-util of docs.aws.amazon.com/appsync/latest/eventapi, and the types in the
// npm package @aws-appsync/utils 2.1.
(readable) => {
  "use strict";
  const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const KSUID_EPOCH_S = 1400000000;

  const randomBelow = (limit) => Math.floor(Math.random() * limit);
  const randomHexadecimal = (count) =>
    Array.from({ length: count }, () => randomBelow(16).toString(16)).join("");
  const inDigits = (number, digits, width) => {
    let rest = BigInt(number), result = "";
    while (result.length < width) {
      result = digits[Number(rest % BigInt(digits.length))] + result;
      rest /= BigInt(digits.length);
    }
    return result;
  };

  // Cuts a row of numbers of one width in bits into numbers of another.
  const regroup = (values, from, to) => {
    const groups = [];
    let held = 0, bits = 0;
    for (const value of values) {
      held = ((held << from) | value) & 0xffff;
      for (bits += from; bits >= to; bits -= to) {
        groups.push((held >> (bits - to)) & ((1 << to) - 1));
      }
    }
    return [groups, (held << (to - bits)) & ((1 << to) - 1), bits];
  };
  const base64Encode = (value) => {
    const bytes = unescape(encodeURIComponent(readable(value)));
    const [groups, rest, bits] = regroup(Array.from(bytes, (byte) => byte.charCodeAt(0)), 8, 6);
    const encoded = [...groups, ...(bits ? [rest] : [])].map((group) => BASE64[group]).join("");
    return encoded.padEnd(Math.ceil(encoded.length / 4) * 4, "=");
  };
  const base64Decode = (value) => {
    const digits = Array.from(value.replace(/=+$/, ""), (digit) => BASE64.indexOf(digit));
    if (digits.includes(-1)) throw new Error("util.base64Decode: the text is not base64");
    const [bytes] = regroup(digits, 6, 8);
    return decodeURIComponent(escape(bytes.map((byte) => String.fromCharCode(byte)).join("")));
  };
  const percent = (mark) => "%" + mark.charCodeAt(0).toString(16).toUpperCase();

  return {
    autoId: () =>
      "????????-????-4???-!???-????????????"
        .replace(/\?/g, () => randomHexadecimal(1))
        .replace("!", () => "89ab"[randomBelow(4)]),
    autoUlid: () =>
      inDigits(Date.now(), BASE32, 10) + inDigits("0x" + randomHexadecimal(20), BASE32, 16),
    autoKsuid: () => {
      const second = Math.floor(Date.now() / 1000) - KSUID_EPOCH_S;
      return inDigits("0x" + second.toString(16) + randomHexadecimal(32), BASE62, 27);
    },
    urlEncode: (value) =>
      encodeURIComponent(readable(value)).replace(/[!'()~]/g, percent).replaceAll("%20", "+"),
    urlDecode: (value) => decodeURIComponent(value.replaceAll("+", " ")),
    base64Encode,
    base64Decode,
    math: {
      roundNum: (value) => Math.round(value),
      minVal: (one, other) => Math.min(one, other),
      maxVal: (one, other) => Math.max(one, other),
      randomDouble: () => Math.random(),
      randomWithinRange: (start, end) => start + randomBelow(end - start),
    },
    str: { normalize: (value, form) => value.normalize(form.toUpperCase()) },
  };
}
