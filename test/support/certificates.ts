// Certificates for tests, made by openssl: one authority, and whoever it vouches for on loopback.

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface CertificateFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface Certificates extends AsyncDisposable {
  /** Files of a certificate with this common name, for 127.0.0.1 or for other names. */
  issue(commonName: string, altNames?: string): Promise<CertificateFiles>;
}

/** Makes an authority in a folder of its own. */
export async function createCertificates(openssl: string): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), "pillion-pki-"));
  const run = (...args: string[]) => execFileSync(openssl, args, { cwd: folder, stdio: "pipe" });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  run("req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test authority");
  return {
    async issue(commonName, altNames = "IP:127.0.0.1,DNS:localhost") {
      const name = join(folder, commonName);
      run("req", "-new", ...curve, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${commonName}`);
      await writeFile(`${name}.ext`, `subjectAltName=${altNames}\nextendedKeyUsage=serverAuth,clientAuth\n`);
      const signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", `${name}.ext`];
      run("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.crt`, ...signed);
      return { ca: join(folder, "ca.crt"), cert: `${name}.crt`, key: `${name}.key` };
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}
