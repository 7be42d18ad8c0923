// What a query costs (shopify.dev/docs/api/usage/limits): an object 1, a connection its size times what is in it, a mutation 10; and the
// bucket of points that each token has, which refills by the second.
'use strict';
const { getNamedType, isObjectType, isInterfaceType, isUnionType, Kind } = require(require.resolve('graphql', { paths: [process.env.SHOPIFY_HOME] }));

const MOST = 1000;

function requested(schema, document, operationName, variables) {
  const operations = document.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION);
  const operation = operations.find((o) => !operationName || o.name?.value === operationName);
  const fragments = Object.fromEntries(document.definitions.filter((d) => d.kind === Kind.FRAGMENT_DEFINITION).map((d) => [d.name.value, d]));
  const value = (node) => (node.kind === Kind.VARIABLE ? variables?.[node.name.value] : node.value);
  const cost = (type, selections) => selections.reduce((sum, node) => {
    if (node.kind === Kind.FRAGMENT_SPREAD) return sum + cost(schema.getType(fragments[node.name.value].typeCondition.name.value), fragments[node.name.value].selectionSet.selections);
    if (node.kind === Kind.INLINE_FRAGMENT) return sum + cost(node.typeCondition ? schema.getType(node.typeCondition.name.value) : type, node.selectionSet.selections);
    if (node.name.value.startsWith('__')) return sum;
    const field = type.getFields()[node.name.value];
    const inner = getNamedType(field.type);
    if (!isObjectType(inner) && !isInterfaceType(inner) && !isUnionType(inner)) return sum;
    const within = cost(inner, node.selectionSet.selections);
    if (/Connection$/.test(inner.name)) {
      const size = node.arguments.find((a) => ['first', 'last'].includes(a.name.value));
      return sum + 2 + Math.max(1, Number(size ? value(size.value) : 0)) * Math.max(1, within);
    }
    // `nodes` and `edges` count once, with the connection.
    if (['nodes', 'edges', 'node', 'pageInfo'].includes(node.name.value)) return sum + within + (node.name.value === 'nodes' ? 1 : 0);
    return sum + 1 + within;
  }, 0);
  const root = operation.operation === 'mutation' ? schema.getMutationType() : schema.getQueryType();
  return (operation.operation === 'mutation' ? 10 : 0) + cost(root, operation.selectionSet.selections);
}

/** A bucket that is full at first. */
class Bucket {
  constructor(maximumAvailable, restoreRate) {
    Object.assign(this, { maximumAvailable, restoreRate, currentlyAvailable: maximumAvailable, at: Date.now() });
  }
  refill() {
    const now = Date.now();
    this.currentlyAvailable = Math.min(this.maximumAvailable, this.currentlyAvailable + ((now - this.at) / 1000) * this.restoreRate);
    this.at = now;
  }
  take(points) {
    this.refill();
    if (points > this.currentlyAvailable) return false;
    this.currentlyAvailable -= points;
    return true;
  }
  status() {
    return { maximumAvailable: this.maximumAvailable, currentlyAvailable: Math.floor(this.currentlyAvailable), restoreRate: this.restoreRate };
  }
}

module.exports = { requested, Bucket, MOST };
