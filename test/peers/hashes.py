"""Prints hashes of the passwords in argv, made by Django, Werkzeug and passlib: one JSON object a line."""

import json
import sys
import warnings

warnings.simplefilter("ignore")

from django.conf import settings
from passlib import hash as passlib
from werkzeug.security import generate_password_hash

from django.contrib.auth import hashers


names = ["PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "SHA1", "MD5", "UnsaltedSHA1"]
names = [n + "PasswordHasher" for n in names if hasattr(hashers, n + "PasswordHasher")]  # newer versions lack the last ones
settings.configure(PASSWORD_HASHERS=["django.contrib.auth.hashers." + n for n in names])
hashers.PBKDF2PasswordHasher.iterations = hashers.PBKDF2SHA1PasswordHasher.iterations = 2000
hashers.BCryptSHA256PasswordHasher.rounds = hashers.BCryptPasswordHasher.rounds = 5
hashers.Argon2PasswordHasher.memory_cost = 4096


def hashes(password):
    for hasher in hashers.get_hashers():
        yield "Django " + hasher.algorithm, hashers.make_password(password, hasher=hasher.algorithm)
    for method in ["pbkdf2:sha1:2000", "pbkdf2:sha256:2000", "pbkdf2:sha512:2000", "md5", "sha1", "sha256", "sha512"]:
        try:
            yield "Werkzeug " + method, generate_password_hash(password, method)
        except ValueError:  # version 3 lacks those without a name in front
            pass
    for name, rounds in [
        ("ldap_md5", 0), ("ldap_sha1", 0), ("ldap_salted_md5", 0), ("ldap_salted_sha1", 0), ("ldap_salted_sha256", 0), ("ldap_salted_sha512", 0),
        ("ldap_pbkdf2_sha1", 2000), ("ldap_pbkdf2_sha256", 2000), ("ldap_pbkdf2_sha512", 2000), ("ldap_md5_crypt", 0), ("ldap_sha256_crypt", 2000),
        ("ldap_sha512_crypt", 2000), ("ldap_bcrypt", 5), ("phpass", 9), ("bcrypt_sha256", 5), ("scrypt", 10), ("pbkdf2_sha256", 2000),
    ]:
        hasher = getattr(passlib, name)
        yield "passlib " + name, (hasher.using(rounds=rounds) if rounds else hasher).hash(password)


for password in sys.argv[1:]:
    for name, text in hashes(password):
        print(json.dumps({"name": name, "password": password, "hash": text}))
