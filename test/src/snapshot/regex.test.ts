// Which patterns are refused, with what words, and that compiling stays bounded.

import { describe, expect, it } from "vitest";
import { REGEX_STATES_MAX } from "../../../assembly/abi/limits.ts";
import { checkRegex } from "../../../src/snapshot/index.ts";
import { compilePathRegex, compileRegex } from "../../../src/snapshot/regex.ts";

describe("refusals", () => {
  it.each([
    ["(a)\\1", "back references are not supported (at character 4)"],
    ["(?<n>a)\\k<n>", "back references are not supported (at character 8)"],
    ["a(?=b)", "look-around is not supported (at character 2)"],
    ["a(?!b)", "look-around is not supported (at character 2)"],
    ["(?<=a)b", "look-around is not supported (at character 1)"],
    ["(?<!a)b", "look-around is not supported (at character 1)"],
    ["a\\b", "word boundaries are not supported (at character 2)"],
    ["\\p{L}", "Unicode properties are not supported (at character 1)"],
    ["(?>a)", "(?> is not a group that is supported (at character 1)"],
    ["a^b", "^ inside of a pattern: patterns match the whole text, leave it out (at character 2)"],
    ["a$b", "$ inside of a pattern: patterns match the whole text, leave it out (at character 2)"],
    ["(a$)", "$ inside of a pattern: patterns match the whole text, leave it out (at character 3)"],
    ["*a", "* with nothing before it to repeat (at character 1)"],
    ["a|+", "+ with nothing before it to repeat (at character 3)"],
    ["a**", "a repetition of a repetition: put the inner one into a group (at character 3)"],
    ["a{2}{3}", "a repetition of a repetition: put the inner one into a group (at character 5)"],
    ["a{3,2}", "{3,2} is the wrong way round (at character 2)"],
    ["a{2000}", "{2000} repeats more than 1000 times (at character 2)"],
    ["(a", "a ( without its ) (at character 3)"],
    ["a)", "a ) without its ( (at character 2)"],
    ["[a", "a [ without its ] (at character 1)"],
    ["[b-a]", "a range that is the wrong way round (at character 5)"],
    ["[a-\\d]", "a range that ends in a class (at character 6)"],
    ["[é]", "a class of characters beyond ASCII (at character 2)"],
    ["a\\", "a \\ at the end (at character 2)"],
    ["\\y", "\\y means nothing (at character 1)"],
    [".*a.{12}", `needs more than ${REGEX_STATES_MAX} states`],
    ["(a{100}){100}", `needs more than ${REGEX_STATES_MAX} states`],
    ["((a{0,90}){0,90}b){0,9}", "too large: repetitions multiply it"],
    ["([a-p]?){0,1000}([b-q]?){0,1000}([c-r]?){0,1000}.{5}z", "too complex to compile"],
    ["a".repeat(5000), "longer than 4096 characters"],
    ["(".repeat(200), "groups nested deeper than 100 (at character 102)"],
  ])("%s: %s", (pattern, problem) => {
    expect(checkRegex(pattern)).toBe(problem);
    expect(compilePathRegex(pattern).ok).toBe(false);
  });

  it.each(["", "/a", "^/a$", "(?:a|b)+?", "(?<n>a)*", "[]]|a", "[^]a-]", "a{,3}", "a{x", "\\x41\\u0042\\t\\0"])(
    "%s is allowed",
    (one) => {
      expect(checkRegex(one)).toBeUndefined();
    },
  );
});

describe("the smallest automaton", () => {
  it.each([
    ["", 2], // dead, end
    ["a*", 2],
    ["(a|b)*abb", 5],
    ["(a|a|a)", 3],
    ["(ab|cb)", 4],
    [".*(foo|bar).*", 7],
  ])("of %s has %i states", (pattern, states) => {
    const compiled = compileRegex(pattern);
    expect(compiled.ok && compiled.automaton.stateCount).toBe(states);
  });

  it("a pattern that nothing matches is only the dead state", () => {
    const compiled = compileRegex("[^\\s\\S]");
    expect(compiled.ok && compiled.automaton).toMatchObject({ stateCount: 1, start: 0, acceptFrom: 1 });
  });
});

describe("segments of a path's pattern", () => {
  it.each([
    ["/users/[0-9]+", "/users"],
    ["/users(/.*)?", "/users"],
    ["/users", "/users"],
    ["/users/", "/users"],
    ["/users.*", ""],
    ["/a/b?", "/a"],
    ["/a/b+", "/a"],
    ["/(a|b)/c", ""],
    ["/a/(b|c)/d", "/a"],
    [".*", ""],
    ["a/b", "a"],
    ["/a/é", "/a"],
    ["(?i)/a/b", ""],
    ["(?i)/7/8/b", "/7/8"],
  ])("%s begins with %s", (pattern, segments) => {
    const compiled = compilePathRegex(pattern);
    expect(compiled.ok && compiled.segments).toBe(segments);
  });
});
