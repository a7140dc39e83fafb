// Questions on stdin, answers on stdout: sign or verify bundles with sigstore-js.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const load = createRequire(process.env.SIGSTORE_JS + '/');
const { bundleFromJSON, bundleToJSON } = load('@sigstore/bundle');
const { DSSEBundleBuilder, FulcioSigner, RekorWitness, TSAWitness } = load('@sigstore/sign');
const { Verifier, toSignedEntity, toTrustMaterial } = load('@sigstore/verify');
const { TrustedRoot } = load('@sigstore/protobuf-specs');

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

// An expression meets the name, so it is escaped and anchored.
function verify({ bundle, trustedRoot, identity }) {
  const material = toTrustMaterial(TrustedRoot.fromJSON(trustedRoot));
  const policy = identity ? { subjectAlternativeName: `^${escaped(identity)}$` } : undefined;
  new Verifier(material).verify(toSignedEntity(bundleFromJSON(bundle)), policy);
  return { verdict: 'good' };
}

async function sign({ payload, payloadType, token, urls }) {
  const witnesses = [new RekorWitness({ rekorBaseURL: urls.rekor, entryType: 'dsse' })];
  if (urls.tsa) witnesses.push(new TSAWitness({ tsaBaseURL: urls.tsa }));
  const signer = new FulcioSigner({
    fulcioBaseURL: urls.fulcio,
    identityProvider: { getToken: async () => token },
  });
  const builder = new DSSEBundleBuilder({ signer, witnesses });
  const bundle = await builder.create({ data: Buffer.from(payload), type: payloadType });
  return { bundle: bundleToJSON(bundle), verdict: 'good' };
}

async function answer(question) {
  try {
    return question.do === 'sign' ? await sign(question) : verify(question);
  } catch (error) {
    return { verdict: `${error.code ?? error.name}: ${error.message}` };
  }
}

const answers = [];
for (const question of JSON.parse(readFileSync(0, 'utf8'))) answers.push(await answer(question));
process.stdout.write(JSON.stringify(answers));
