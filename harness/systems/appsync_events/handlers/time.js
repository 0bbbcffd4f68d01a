// `util.time` of APPSYNC_JS: timestamps, and dates by the patterns of Java's DateTimeFormatter.
//
// Its value is a function that makes it. Time zones are UTC and offsets such as +08:00: the engine
// knows no others. Pattern letters are those of dates, times and offsets.
// Sources: page time-helpers-in-util-time-js of docs.aws.amazon.com/appsync/latest/devguide, and
// docs.oracle.com/javase/8/docs/api/java/time/format/DateTimeFormatter.html.
() => {
  "use strict";
  const MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
  ];
  const DAYS = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ];
  const padded = (number, width) => String(number).padStart(width, "0");
  const name = (names, index, width) => names[index].slice(0, width < 4 ? 3 : undefined);

  const oneOf = (names, width) =>
    `(${names.map((_, index) => name(names, index, width)).join("|")})`;

  const offsetMs = (zone) => {
    if (/^(UTC|GMT|Z)?$/.test(zone)) return 0;
    const found = /^(?:UTC|GMT)?([+-])(\d\d?)(?::?(\d\d)(?::?(\d\d))?)?$/.exec(zone);
    if (!found) throw new Error(`util.time: of time zones only UTC and +hh:mm work, not ${zone}`);
    const [, sign, hours, minutes = 0, seconds = 0] = found;
    const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
    return total * (sign === "-" ? -1000 : 1000);
  };
  // How many of each letter X or x -> whether to leave out :00, to write colons, and seconds.
  const OFFSET_FORMS = [[true], [], [false, ":"], [false, "", true], [false, ":", true]];
  const offset = (ms, [isShort = false, colon = "", hasSeconds = false]) => {
    const total = Math.abs(ms) / 1000;
    const [hours, minutes, seconds] = [total / 3600, (total / 60) % 60, total % 60].map((part) =>
      padded(Math.floor(part), 2),
    );
    const tail = hasSeconds && seconds !== "00" ? colon + seconds : "";
    const middle = isShort && minutes === "00" ? "" : colon + minutes;
    return (ms < 0 ? "-" : "+") + hours + middle + tail;
  };
  const zoned = (show) => ({
    show,
    form: () => "((?:GMT)?(?:Z|[+-][\\d:]+)|GMT)",
    read: (parts, found) => {
      parts.offset = offsetMs(found);
    },
  });
  const numeric = (show, read) => ({
    show: (date, width) => padded(show(date), width),
    form: (width) => `(\\d{${width},${Math.max(2, width)}})`,
    read: (parts, found) => Object.assign(parts, read(Number(found))),
  });

  // Letter -> how it shows a date, the form it has in a text, and what it reads from that.
  const year = {
    show: (date, width) => padded(date.getUTCFullYear(), width).slice(width === 2 ? -2 : 0),
    form: (width) => (width === 2 ? "(\\d{2})" : "(\\d{4})"),
    read: (parts, found) => {
      parts.year = Number(found) + (found.length === 2 ? 2000 : 0);
    },
  };
  const month = {
    show: (date, width) =>
      width > 2 ? name(MONTHS, date.getUTCMonth(), width) : padded(date.getUTCMonth() + 1, width),
    form: (width) => (width > 2 ? oneOf(MONTHS, width) : "(\\d\\d?)"),
    read: (parts, found) => {
      const index = MONTHS.findIndex((full) => full.startsWith(found));
      parts.month = index < 0 ? Number(found) - 1 : index;
    },
  };
  const LETTERS = {
    y: year,
    u: year,
    M: month,
    L: month,
    E: {
      show: (date, width) => name(DAYS, date.getUTCDay(), width),
      form: (width) => oneOf(DAYS, width),
      read: () => {},
    },
    d: numeric((date) => date.getUTCDate(), (day) => ({ day })),
    H: numeric((date) => date.getUTCHours(), (hours) => ({ hours })),
    h: numeric((date) => date.getUTCHours() % 12 || 12, (hours) => ({ hours: hours % 12 })),
    m: numeric((date) => date.getUTCMinutes(), (minutes) => ({ minutes })),
    s: numeric((date) => date.getUTCSeconds(), (seconds) => ({ seconds })),
    S: {
      show: (date, width) => padded(date.getUTCMilliseconds(), 3).padEnd(9, "0").slice(0, width),
      form: (width) => `(\\d{${width}})`,
      read: (parts, found) => {
        parts.ms = Number(found.padEnd(3, "0").slice(0, 3));
      },
    },
    a: {
      show: (date) => (date.getUTCHours() < 12 ? "AM" : "PM"),
      form: () => "([AP]M)",
      read: (parts, found) => {
        parts.afternoon = found === "PM" ? 12 : 0;
      },
    },
    Z: zoned((_, width, ms) => {
      if (width < 4) return offset(ms, []);
      if (width === 4) return "GMT" + (ms ? offset(ms, [false, ":", true]) : "");
      return ms ? offset(ms, [false, ":", true]) : "Z";
    }),
    X: zoned((_, width, ms) => (ms ? offset(ms, OFFSET_FORMS[width - 1]) : "Z")),
    x: zoned((_, width, ms) => offset(ms, OFFSET_FORMS[width - 1])),
  };

  // A quoted text, a run of one letter, a bracket around what may be missing, or itself.
  const tokens = (pattern) =>
    pattern.match(/'(?:[^']|'')*'|([A-Za-z])\1*|[^]/g).map((token) => {
      if (/^'./.test(token)) {
        return { plain: token === "''" ? "'" : token.slice(1, -1).replaceAll("''", "'") };
      }
      if (/[[\]]/.test(token)) return { bracket: token };
      if (!/[A-Za-z]/.test(token)) return { plain: token };
      const letter = LETTERS[token[0]];
      if (!letter) throw new Error(`util.time: the pattern letter ${token[0]} is not emulated`);
      return { letter, width: token.length };
    });

  const formatted = (ms, pattern, zone = "UTC") => {
    const shift = offsetMs(zone), local = new Date(ms + shift);
    const show = ({ plain = "", letter, width }) => letter?.show(local, width, shift) ?? plain;
    return tokens(pattern).map(show).join("");
  };
  const parsed = (value, pattern, zone = "UTC") => {
    const all = tokens(pattern);
    const form = all.map(({ plain, bracket, letter, width }) => {
      if (bracket) return bracket === "[" ? "(?:" : ")?";
      return letter ? letter.form(width) : plain.replace(/[^A-Za-z0-9]/g, "\\$&");
    });
    const found = new RegExp(`^${form.join("")}$`).exec(value);
    if (!found) throw new Error(`util.time: ${value} does not have the form ${pattern}`);
    const parts = {
      year: 1970, month: 0, day: 1, hours: 0, afternoon: 0, minutes: 0, seconds: 0, ms: 0,
      offset: offsetMs(zone),
    };
    all.filter(({ letter }) => letter).forEach(({ letter }, index) => {
      if (found[index + 1] !== undefined) letter.read(parts, found[index + 1]);
    });
    const { day, hours, afternoon, minutes, seconds } = parts;
    const utc = Date.UTC(
      parts.year, parts.month, day, hours + afternoon, minutes, seconds, parts.ms,
    );
    return utc - parts.offset;
  };

  return {
    nowISO8601: () => new Date().toISOString(),
    nowEpochSeconds: () => Math.floor(Date.now() / 1000),
    nowEpochMilliSeconds: () => Date.now(),
    nowFormatted: (pattern, zone) => formatted(Date.now(), pattern, zone),
    parseFormattedToEpochMilliSeconds: parsed,
    parseISO8601ToEpochMilliSeconds: (value) => {
      const ms = Date.parse(value);
      if (Number.isNaN(ms)) throw new Error(`util.time: ${value} is not ISO 8601`);
      return ms;
    },
    epochMilliSecondsToSeconds: (ms) => Math.floor(ms / 1000),
    epochMilliSecondsToISO8601: (ms) => new Date(ms).toISOString(),
    epochMilliSecondsToFormatted: formatted,
  };
}
