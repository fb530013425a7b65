// Prints hashes of the passwords in argv, made by bcryptjs and firebase-scrypt: one JSON
// object a line. Those of Firebase come with their salt and the parameters of the project.
import { randomBytes } from "node:crypto";
import bcrypt from "bcryptjs";
import firebase from "firebase-scrypt";

const put = (line) => console.log(JSON.stringify(line));

for (const password of process.argv.slice(2)) {
  put({ name: "bcryptjs", password, hash: bcrypt.hashSync(password, 5) });
  for (const saltSeparator of ["Bw==", ""]) {
    const project = { memCost: 11, rounds: 8, saltSeparator, signerKey: randomBytes(64).toString("base64") };
    const salt = randomBytes(10).toString("base64");
    const hash = await new firebase.FirebaseScrypt(project).hash(password, salt);
    put({ name: "firebase-scrypt", password, hash, salt, ...project });
  }
}
