// Shopify's search syntax (shopify.dev/docs/api/usage/search-syntax), parsed: terms, AND, OR, NOT, -, (...), field:value with the comparators
// :< :> :<= :>=, quotes of both kinds with backslashes, prefixes (`word*`). What is no query of that syntax is an error here.
'use strict';

class SearchError extends Error {}

function tokens(text) {
  const out = [];
  let at = 0;
  const special = /[\s:()"']/;
  const quoted = (quote) => {
    let value = '';
    for (at += 1; ; at += 1) {
      if (at >= text.length) throw new SearchError(`a quote is not closed: ${text}`);
      if (text[at] === '\\') { at += 1; value += text[at] ?? ''; continue; }
      if (text[at] === quote) { at += 1; return value; }
      value += text[at];
    }
  };
  while (at < text.length) {
    const c = text[at];
    if (/\s/.test(c)) { at += 1; continue; }
    if (c === '(' || c === ')') { out.push({ kind: c }); at += 1; continue; }
    if (c === '-' && (out.length === 0 || /[\s(]/.test(text[at - 1]))) { out.push({ kind: 'NOT' }); at += 1; continue; }
    if (c === '"' || c === "'") { out.push({ kind: 'value', value: quoted(c), phrase: true }); continue; }
    if (c === ':') throw new SearchError(`a comparator without a field: ${text}`);
    let word = '';
    while (at < text.length && !special.test(text[at])) {
      if (text[at] === '\\') at += 1;
      word += text[at] ?? '';
      at += 1;
    }
    if (text[at] !== ':') {
      out.push(['AND', 'OR', 'NOT'].includes(word) ? { kind: word } : { kind: 'value', value: word });
      continue;
    }
    at += 1;
    const comparator = /^(<=|>=|<|>)/.exec(text.slice(at))?.[0] ?? '';
    at += comparator.length;
    if (text[at] === '"' || text[at] === "'") { out.push({ kind: 'field', field: word, comparator, value: quoted(text[at]), phrase: true }); continue; }
    let value = '';
    while (at < text.length && !/[\s()"']/.test(text[at])) {
      if (text[at] === '\\') at += 1;
      value += text[at] ?? '';
      at += 1;
    }
    if (value === '') throw new SearchError(`${word}: has no value: ${text}`);
    out.push({ kind: 'field', field: word, comparator, value });
  }
  return out;
}

/** The tree of a query: {and: []}, {or: []}, {not}, or a term. */
function parse(text) {
  const all = tokens(text);
  let at = 0;
  const either = () => {
    const parts = [both()];
    while (all[at]?.kind === 'OR') { at += 1; parts.push(both()); }
    return parts.length === 1 ? parts[0] : { or: parts };
  };
  const both = () => {
    const parts = [one()];
    while (at < all.length && all[at].kind !== ')' && all[at].kind !== 'OR') {
      if (all[at].kind === 'AND') at += 1;
      parts.push(one());
    }
    return parts.length === 1 ? parts[0] : { and: parts };
  };
  const one = () => {
    const token = all[at];
    at += 1;
    if (!token) throw new SearchError(`a term is missing: ${text}`);
    if (token.kind === 'NOT') return { not: one() };
    if (token.kind === '(') {
      const inner = either();
      if (all[at]?.kind !== ')') throw new SearchError(`a parenthesis is not closed: ${text}`);
      at += 1;
      return inner;
    }
    if (token.kind === 'value' || token.kind === 'field') return token;
    throw new SearchError(`${token.kind} stands where a term should: ${text}`);
  };
  if (all.length === 0) return { and: [] };
  const tree = either();
  if (at < all.length) throw new SearchError(`${all[at].kind} stands where nothing should: ${text}`);
  return tree;
}

/** What a number is made of, as search engines split it. */
const parts = (text) => String(text).toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);
/** Fields with numbers. Shopify doesn't say how it compares these; here it is as loose as can be, so that near ones are found too. */
const NUMBERS = ['name', 'confirmation_number', 'po_number', 'sku'];

/** Whether one of the values is what a term looks for: the same but for case, or with `*` at its end a beginning. */
function matches(term, values) {
  const wanted = term.value.toLowerCase();
  const begins = (value, all = parts(wanted)) => all.length > 0 && parts(value).join(' ').startsWith(all.join(' '));
  return values.filter((v) => v !== null && v !== undefined).map((v) => String(v).toLowerCase()).some((value) => {
    if (NUMBERS.includes(term.field) && begins(value)) return true;
    if (wanted.endsWith('*')) return value.startsWith(wanted.slice(0, -1));
    return value === wanted;
  });
}

const words = (texts) => texts.flatMap((t) => String(t ?? '').toLowerCase().split(/[^\p{L}\p{N}-]+/u)).filter(Boolean);

/** A test for records. `fields` says what each field of the search holds; `documented` which there are at Shopify. */
function search(text, documented, fields, whole) {
  const tree = parse(text ?? '');
  const check = (node) => {
    for (const part of node.and ?? node.or ?? (node.not ? [node.not] : [])) check(part);
    if (node.kind === 'field') {
      if (!documented.includes(node.field)) throw new SearchError(`Shopify has no search field ${node.field} here`);
      if (!fields[node.field]) throw new SearchError(`this server does not know the search field ${node.field}`);
      if (node.comparator) throw new SearchError(`this server does not compare by ${node.comparator}`);
    }
  };
  check(tree);
  const test = (node, record) => {
    if (node.and) return node.and.every((part) => test(part, record));
    if (node.or) return node.or.some((part) => test(part, record));
    if (node.not) return !test(node.not, record);
    if (node.kind === 'field') return matches(node, fields[node.field](record));
    if (node.phrase) return ` ${words(whole(record)).join(' ')} `.includes(` ${words([node.value]).join(' ')} `);
    return matches(node, words(whole(record)));
  };
  return (record) => test(tree, record);
}

module.exports = { search, parse, SearchError };
